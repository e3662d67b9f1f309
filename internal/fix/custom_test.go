package fix

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
)

func ownFixer() repoconfig.CustomFixer {
	return repoconfig.CustomFixer{
		Name: "upper", When: repoconfig.CustomWhen{Commands: []string{`^make upper$`}, Files: []string{"src.txt"}},
		Tool: repoconfig.CustomTool{Command: "echo tool version 1.2.3", Version: "1.2.3"},
		Fix:  "tr a-z A-Z < src.txt > out.txt # {{not a template}}", Touches: []string{"out.txt"},
		Check: "tr a-z A-Z < src.txt | cmp - out.txt",
	}
}

func TestARepositorysOwnFixerTurnsItGreen(t *testing.T) {
	t.Parallel()
	c, err := mustLoad(t).With([]repoconfig.CustomFixer{ownFixer()})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorkplace(t, map[string]string{"src.txt": "a\n", "out.txt": "old\n"})
	rep := report("make upper", "out.txt differs")
	matches := c.Match(rep, []string{"src.txt", "out.txt"})
	if len(matches) != 1 || matches[0].Fixer != "upper" {
		t.Fatalf("%+v", matches)
	}
	p, err := c.Plan(Inputs{Match: matches[0], Report: rep, Tools: tools()})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"out.txt": "A\n"}, w.prove(p)); diff != "" {
		t.Error(diff)
	}
	if p.Fix.Network || p.Check.Network || p.Prepare != nil || p.MayTouch("src.txt") || p.MayTouch(".github/workflows/ci.yml") {
		t.Errorf("%+v", p)
	}
}

func TestARepositorysOwnFixerWithAnotherToolDeclines(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{
		"echo tool 1.2.30": ReasonToolVersion, "echo tool 11.2.3": ReasonToolVersion, "no-such-program": ReasonToolVersionUnknown,
	} {
		f := ownFixer()
		f.Tool.Command = command
		c, err := mustLoad(t).With([]repoconfig.CustomFixer{f})
		if err != nil {
			t.Fatal(err)
		}
		w := newWorkplace(t, map[string]string{"src.txt": "a\n", "out.txt": "old\n"})
		p, err := c.Plan(Inputs{Match: Match{Fixer: "upper"}, Tools: tools()})
		if err != nil {
			t.Fatal(err)
		}
		if out, code := w.run(p.Fix); ExitReason(code) != want || w.read("out.txt") != "old\n" {
			t.Errorf("%s: %d, %s", command, code, out)
		}
	}
}

func TestARepositorysOwnFixerHasANameOfItsOwn(t *testing.T) {
	f := ownFixer()
	f.Name = "gofmt"
	if _, err := mustLoad(t).With([]repoconfig.CustomFixer{f}); err == nil {
		t.Error("accepted")
	} else if reason, _ := fault.Reason(err); reason != repoconfig.ReasonBad {
		t.Error(err)
	}
}
