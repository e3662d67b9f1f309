package fixplan_test

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan"
)

// targets asks each adapter for something.
func targets() map[string]fixplan.Operation {
	out := map[string]fixplan.Operation{}
	for file, d := range map[string]fixplan.Details{
		"requirements.txt":   {Name: "a", Version: "2.0"},
		"pyproject.toml":     {Name: "a", Version: "2.0"},
		"package.json":       {Name: "a", Version: "2.0.0"},
		"go.mod":             {Name: "example.org/a", Version: "v1.2.0"},
		"pom.xml":            {Name: "a:b", Version: "2.0"},
		"build.gradle":       {Name: "a:b", Version: "2.0"},
		"build.gradle.kts":   {Name: "a:b", Version: "2.0"},
		"libs.versions.toml": {Name: "a:b", Version: "2.0"},
		"Dockerfile":         {Name: "alpine", Version: "3.20"},
	} {
		out[file] = fixplan.Operation{Kind: fixplan.PinDependency, File: file, Details: d, Rationale: "x", Evidence: "x"}
	}
	for file, key := range map[string]string{"c.json": "a.b", "c.toml": "a.b", "c.yaml": "a.b", "c.ini": "a.b"} {
		out[file] = fixplan.Operation{Kind: fixplan.UpdateConfig, File: file, Details: fixplan.Details{Key: key, Value: "2"}, Rationale: "x", Evidence: "x"}
	}
	out["Dockerfile.apt"] = fixplan.Operation{Kind: fixplan.UpdateConfig, File: "Dockerfile.apt", Details: fixplan.Details{Key: "apt-get.clean-up", Value: "curl"}, Rationale: "x", Evidence: "x"}
	out["main.c"] = fixplan.Operation{Kind: fixplan.ModifyCode, File: "main.c", Details: fixplan.Details{Old: "old", New: "new"}, Rationale: "x", Evidence: "x"}
	return out
}

func planOf(op fixplan.Operation) fixplan.Plan {
	return fixplan.Plan{RootCause: "x", Category: "unknown", Files: []string{op.File}, Operations: []fixplan.Operation{op}}
}

func TestAHostileManifestCostsLittleAndIsRefused(t *testing.T) {
	hostile := map[string][]byte{
		"100,000 square brackets":  []byte(strings.Repeat("[", 100000)),
		"100,000 nested arrays":    []byte("a = " + strings.Repeat("[", 100000) + strings.Repeat("]", 100000)),
		"100,000 braces":           []byte(strings.Repeat(`{"a":`, 100000)),
		"100,000 elements":         []byte(strings.Repeat("<a>", 100000)),
		"100,000 dashes":           []byte(strings.Repeat("- ", 100000) + "a"),
		"100,000 parts of a key":   []byte(strings.Repeat("a.", 100000) + "a = 1\n"),
		"100,000 comments open":    []byte("dependencies {\n" + strings.Repeat("/*", 100000)),
		"100,000 quotes":           []byte(strings.Repeat("'", 100000)),
		"100,000 colons":           []byte(strings.Repeat("a: ", 100000)),
		"a line of 8 MB":           bytes.Repeat([]byte("x"), 8<<20),
		"a line of nearly 1 MB":    bytes.Repeat([]byte("x"), 1<<20-1),
		"1 MB of line ends":        bytes.Repeat([]byte("\n"), 1<<20),
		"10,000 short lines":       bytes.Repeat([]byte("a: b\n"), 10000),
		"no UTF-8":                 []byte("a = \"\xff\xfe\"\n"),
		"a binary":                 []byte("a\x00b"),
		"UTF-16":                   []byte("\xff\xfea\x00=\x001\x00"),
		"only a byte order mark":   []byte("\xef\xbb\xbf"),
		"nothing":                  {},
		"anchors":                  []byte("a: &a [x]\nb: *a\n"),
		"entities":                 []byte("<!DOCTYPE a [<!ENTITY b 'c'>]><project>&b;</project>"),
		"keys twice":               []byte("a = 1\na = 2\n"),
		"tabs":                     []byte("a:\n\tb: 1\n"),
		"a lone carriage return":   []byte("a\rb\r"),
		"an unclosed continuation": []byte("FROM \\"),
	}
	for file, op := range targets() {
		for name, data := range hostile {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			got, err := fixplan.Apply(planOf(op), reader(map[string][]byte{file: data}))
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if reason(t, err) == "" {
				t.Errorf("%s, %s: %.100q", file, name, got.Changed)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 400<<20 {
				t.Errorf("%s, %s: %d MB", file, name, grown>>20)
			}
			if took > time.Minute {
				t.Errorf("%s, %s: %v", file, name, took)
			}
			if err != nil && len(err.Error()) > 2000 {
				t.Errorf("%s, %s: an error of %d bytes", file, name, len(err.Error()))
			}
		}
	}
}

func TestAByteOrderMarkAndTabsStay(t *testing.T) {
	t.Parallel()
	for file, tt := range map[string]struct{ before, after string }{
		"package.json":     {"\ufeff{\n\t\"dependencies\": {\n\t\t\"a\": \"1.0.0\"\n\t}\n}", "\ufeff{\n\t\"dependencies\": {\n\t\t\"a\": \"2.0.0\"\n\t}\n}"},
		"pyproject.toml":   {"\ufeff[project]\ndependencies = [\n\t'a==1',\n]", "\ufeff[project]\ndependencies = [\n\t'a==2.0',\n]"},
		"requirements.txt": {"\ufeffa==1", "\ufeffa==2.0"},
		"c.yaml":           {"\ufeffa:\n  b: 1", "\ufeffa:\n  b: 2"},
		"c.ini":            {"[a]\nb\t=\t1", "[a]\nb\t=\t2"},
		"Dockerfile":       {"\ufeffFROM\talpine:3\r\n", "\ufeffFROM\talpine:3.20\r\n"},
		"build.gradle":     {"dependencies {\r\n\timplementation\t'a:b:1'\r\n}", "dependencies {\r\n\timplementation\t'a:b:2.0'\r\n}"},
	} {
		got, err := fixplan.Apply(planOf(targets()[file]), reader(map[string][]byte{file: []byte(tt.before)}))
		if err != nil || string(got.Changed[file]) != tt.after {
			t.Errorf("%s: %q, %v", file, got.Changed[file], err)
		}
	}
}

func TestAnErrorOfTheReaderIsHandedUp(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	_, err := fixplan.Apply(planOf(targets()["go.mod"]), func(string) ([]byte, bool, error) { return nil, false, away })
	if _, permanent := fault.Reason(err); permanent || !errors.Is(err, away) {
		t.Errorf("%v", err)
	}
}
