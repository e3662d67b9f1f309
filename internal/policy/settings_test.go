package policy_test

import (
	"errors"
	"testing"

	"github.com/sre-agent/sre-agent/internal/policy"
)

func number(n int) *int { return &n }

func TestARepositoryTightensAndAnOperatorSets(t *testing.T) {
	more := policy.Settings{Allow: []string{"src/**"}, Forbid: []string{"src/gen/**"}, MaxFiles: number(9), MaxAddedLines: number(3), MaxSafeDanger: number(4)}
	tightened, set := policy.Default().Tightened(more), policy.Default().Set(more)
	if tightened.MaxFiles != 5 || tightened.MaxAdded != 3 || tightened.MaxSafe != 4 || tightened.MaxBytes != 200_000 {
		t.Errorf("tightened: %+v", tightened)
	}
	if set.MaxFiles != 9 || set.MaxAdded != 3 || set.MaxRemoved != 200 {
		t.Errorf("set: %+v", set)
	}
	for path, want := range map[string]string{
		"src/a.go": policy.ReasonWithin, "lib/a.go": policy.ReasonNotAllowed, "src/gen/a.go": policy.ReasonForbidden, "src/.env": policy.ReasonForbidden,
	} {
		for name, rules := range map[string]policy.Rules{"tightened": tightened, "set": set} {
			if v := policy.Check(of(change(path, 1, 1)), rules); v.Reason != want {
				t.Errorf("%s, %s: %+v", path, name, v)
			}
		}
	}
	both := set.Tightened(policy.Settings{Allow: []string{"*.md"}})
	for path, want := range map[string]string{"src/a.md": policy.ReasonWithin, "src/a.go": policy.ReasonNotAllowed, "a.md": policy.ReasonNotAllowed} {
		if v := policy.Check(of(change(path, 1, 1)), both); v.Reason != want {
			t.Errorf("%s has to be in both lists: %+v", path, v)
		}
	}
}

func TestSettingsThatMakeNoSenseAreNamed(t *testing.T) {
	for name, tt := range map[string]struct {
		settings policy.Settings
		field    string
	}{
		"a malformed glob":           {policy.Settings{Forbid: []string{"a", "["}}, "forbid"},
		"an empty glob":              {policy.Settings{Allow: []string{""}}, "allow"},
		"nothing allowed":            {policy.Settings{Allow: []string{}}, "allow"},
		"too many globs":             {policy.Settings{Forbid: make([]string, 201)}, "forbid"},
		"no files":                   {policy.Settings{MaxFiles: number(0)}, "max_files"},
		"more than the database has": {policy.Settings{MaxBytes: number(2_000_000)}, "max_bytes"},
		"a negative number":          {policy.Settings{MaxAddedLines: number(-1)}, "max_added_lines"},
	} {
		var problem *policy.Problem
		if err := tt.settings.Validate(); !errors.As(err, &problem) || problem.Field != tt.field {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDangerKnowsWhatMadeThePatch(t *testing.T) {
	p := of(change("a.go", 1, 1))
	for kinds, want := range map[policy.Kind]int{policy.KindFormat: 5, policy.KindLock: 10, "modify_code": 20, policy.KindAgent: 25, "something new": 30} {
		v := policy.Check(p, policy.Default(), kinds, kinds)
		if v.Danger.Score != want || (v.Class == policy.ClassSafe) != (want <= 20) {
			t.Errorf("%s: %+v", kinds, v)
		}
	}
}
