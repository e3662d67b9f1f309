package importtest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	g := Graph{
		"m/cmd/a":            {"m/services/a"},
		"m/services/a":       {"m/internal/x", "m/services/a/part", "fmt"},
		"m/services/a/part":  {"m/internal/ok"},
		"m/services/b":       {"m/services/a"},
		"m/internal/x":       {"m/internal/y", "m/internal/ok"},
		"m/internal/y":       {"m/internal/forge/hub", "net/http"},
		"m/internal/ok":      {"strings"},
		"m/internal/forge":   nil,
		"m/internal/forgery": nil,
		"m/internal/forge/hub": {
			"m/internal/forge", "os/exec",
		},
		"net/http": {"net"}, "net": nil, "fmt": nil, "strings": nil, "os/exec": nil,
	}
	tests := []struct {
		name string
		rule Rule
		want []string
	}{
		{"nothing forbidden is reached", Rule{From: []string{"./internal/ok"}, Never: []string{"net", "./internal/forge/..."}}, nil},
		{
			"a forbidden package is found through several steps, with the way to it",
			Rule{From: []string{"./cmd/a"}, Never: []string{"./internal/forge/hub"}, Why: "no"},
			[]string{"cmd/a -> services/a -> internal/x -> internal/y -> internal/forge/hub (no)"},
		},
		{
			"a tree takes in its root, and not a package whose name only begins alike",
			Rule{From: []string{"./internal/y"}, Never: []string{"./internal/forge/..."}, Why: "no"},
			[]string{"internal/y -> internal/forge/hub (no)", "internal/y -> internal/forge/hub -> internal/forge (no)"},
		},
		{
			"a package of somebody else is found too",
			Rule{From: []string{"./internal/x"}, Never: []string{"net"}, Why: "no"},
			[]string{"internal/x -> internal/y -> net/http -> net (no)"},
		},
		{
			"siblings may not reach each other, but each may reach its own parts",
			Rule{From: []string{"./services/*"}, Never: []string{"./services/..."}, Why: "no"},
			[]string{"services/b -> services/a (no)", "services/b -> services/a -> services/a/part (no)"},
		},
		{
			"an exception holds",
			Rule{From: []string{"./internal/y"}, Never: []string{"./internal/..."}, Except: []string{"./internal/forge/..."}},
			nil,
		},
		{
			"a row that names nothing is a mistake, wherever it names it",
			Rule{From: []string{"./internal/gone"}, Never: []string{"./away/..."}, Except: []string{"./lost"}},
			[]string{
				"./away/...: no such package; a row of the table names it",
				"./internal/gone: no such package; a row of the table names it",
				"./lost: no such package; a row of the table names it",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, Check(g, "m", []Rule{tt.rule})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
