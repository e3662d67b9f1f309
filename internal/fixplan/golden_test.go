package fixplan_test

import (
	"encoding/json"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan"
)

// golden is a plan, the files that it meets, and what comes of it: files and follow-ups, or an error.
type golden struct {
	name      string
	plan      []byte
	before    map[string][]byte
	after     map[string]string
	followUps string
	refused   string
}

func goldens(t testing.TB) []golden {
	t.Helper()
	var out []golden
	root := filepath.Join("testdata", "plans")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		ar, err := txtar.ParseFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		g := golden{name: strings.TrimSuffix(filepath.ToSlash(rel), ".txtar"), before: map[string][]byte{}, after: map[string]string{}}
		for _, f := range ar.Files {
			kind, file, _ := strings.Cut(f.Name, "/")
			switch kind {
			case "plan.json":
				g.plan = f.Data
			case "before":
				g.before[file] = f.Data
			case "after":
				g.after[file] = string(f.Data)
			case "followups.json":
				g.followUps = strings.TrimSpace(string(f.Data))
			case "refused":
				g.refused = strings.TrimSpace(string(f.Data))
			default:
				t.Fatalf("%s: file %q", path, f.Name)
			}
		}
		out = append(out, g)
		return err
	})
	if err != nil || len(out) < 40 {
		t.Fatalf("%d goldens: %v", len(out), err)
	}
	return out
}

// reader reads from a map.
func reader(files map[string][]byte) fixplan.Read {
	return func(path string) ([]byte, bool, error) {
		data, ok := files[path]
		return data, ok, nil
	}
}

func reason(t *testing.T, err error) string {
	t.Helper()
	r, ok := fault.Reason(err)
	if err != nil && !ok {
		t.Fatalf("not permanent: %v", err)
	}
	return r
}

func TestAPlanGivesWhatItsGoldenSays(t *testing.T) {
	t.Parallel()
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			plan, err := fixplan.Parse(g.plan)
			if err != nil {
				t.Fatal(err)
			}
			got, err := fixplan.Apply(plan, reader(g.before))
			if g.refused != "" {
				if err == nil || !strings.HasPrefix(err.Error(), g.refused) {
					t.Fatalf("got %v, want %s", err, g.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			after := map[string]string{}
			for path, data := range got.Changed {
				after[path] = string(data)
			}
			if diff := cmp.Diff(g.after, after); diff != "" {
				t.Error(diff)
			}
			follow := ""
			if len(got.FollowUps) > 0 {
				data, err := json.Marshal(got.FollowUps)
				if err != nil {
					t.Fatal(err)
				}
				follow = string(data)
			}
			if follow != g.followUps {
				t.Errorf("follow-ups %s, want %s", follow, g.followUps)
			}
		})
	}
}

func TestAPlanThatIsDoneHasNothingToDo(t *testing.T) {
	t.Parallel()
	for _, g := range goldens(t) {
		if g.refused != "" {
			continue
		}
		plan, err := fixplan.Parse(g.plan)
		if err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{}
		for path, data := range g.before {
			files[path] = data
		}
		for path, data := range g.after {
			files[path] = []byte(data)
		}
		if _, err := fixplan.Apply(plan, reader(files)); reason(t, err) != "plan_nothing_to_do" {
			t.Errorf("%s: %v", g.name, err)
		}
	}
}

func TestEveryReasonOfAGoldenIsKnown(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, r := range fixplan.Reasons() {
		known[r] = true
	}
	for _, g := range goldens(t) {
		if r, _, _ := strings.Cut(g.refused, ":"); r != "" && !known[r] {
			t.Errorf("%s: %q", g.name, r)
		}
	}
}
