package fixplan_test

import (
	"bytes"
	"testing"
	"unicode/utf8"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	for _, g := range goldens(f) {
		f.Add(g.plan)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		plan, err := fixplan.Parse(data)
		if reason, _ := fault.Reason(err); err != nil && reason != "plan_invalid" && reason != "plan_conflict" {
			t.Fatalf("%v", err)
		}
		if err == nil && fixplan.Check(plan) != nil {
			t.Fatalf("%+v", plan)
		}
	})
}

// fuzzFile throws files at one adapter: whatever it makes of them is text and holds when asked again.
func fuzzFile(f *testing.F, file string) {
	f.Helper()
	for _, g := range goldens(f) {
		for _, data := range g.before {
			f.Add(data)
		}
	}
	op := targets()[file]
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, kind := range []fixplan.Kind{op.Kind, fixplan.AddDependency, fixplan.RemoveUnused} {
			if kind != op.Kind && op.Kind != fixplan.PinDependency {
				continue
			}
			op := op
			op.Kind = kind
			if kind == fixplan.RemoveUnused {
				op.Details.Version = ""
			}
			got, err := fixplan.Apply(planOf(op), reader(map[string][]byte{file: data}))
			if _, permanent := fault.Reason(err); err != nil && !permanent {
				t.Fatalf("%v", err)
			}
			out := got.Changed[file]
			if err == nil && (bytes.Equal(out, data) || !utf8.Valid(out)) {
				t.Fatalf("%q", out)
			}
		}
	})
}

func FuzzRequirements(f *testing.F) { fuzzFile(f, "requirements.txt") }
func FuzzPyproject(f *testing.F)    { fuzzFile(f, "pyproject.toml") }
func FuzzPackageJSON(f *testing.F)  { fuzzFile(f, "package.json") }
func FuzzGoMod(f *testing.F)        { fuzzFile(f, "go.mod") }
func FuzzMaven(f *testing.F)        { fuzzFile(f, "pom.xml") }
func FuzzGradle(f *testing.F)       { fuzzFile(f, "build.gradle") }
func FuzzCatalogue(f *testing.F)    { fuzzFile(f, "libs.versions.toml") }
func FuzzFrom(f *testing.F)         { fuzzFile(f, "Dockerfile") }
func FuzzApt(f *testing.F)          { fuzzFile(f, "Dockerfile.apt") }
func FuzzJSON(f *testing.F)         { fuzzFile(f, "c.json") }
func FuzzTOML(f *testing.F)         { fuzzFile(f, "c.toml") }
func FuzzYAML(f *testing.F)         { fuzzFile(f, "c.yaml") }
func FuzzINI(f *testing.F)          { fuzzFile(f, "c.ini") }
func FuzzText(f *testing.F)         { fuzzFile(f, "main.c") }
