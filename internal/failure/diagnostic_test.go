package failure_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/failure"
)

func TestDiagnosticsByFamilyOfFormat(t *testing.T) {
	for name, tc := range map[string]struct {
		log  string
		want []failure.Diagnostic
	}{
		"name, line and column":     {"a/b.go:3:2: undefined: x", []failure.Diagnostic{{File: "a/b.go", Line: 3, Column: 2, Message: "undefined: x"}}},
		"name and line":             {"./a.py:7: error: Bad thing  [arg-type]", []failure.Diagnostic{{File: "a.py", Line: 7, Message: "error: Bad thing  [arg-type]", Rule: "arg-type"}}},
		"a rule in front":           {"a.py:4:1: F401 'sys' imported but unused", []failure.Diagnostic{{File: "a.py", Line: 4, Column: 1, Rule: "F401", Message: "F401 'sys' imported but unused"}}},
		"a rule behind":             {"a.go:4:1: not checked (errcheck)", []failure.Diagnostic{{File: "a.go", Line: 4, Column: 1, Rule: "errcheck", Message: "not checked (errcheck)"}}},
		"parentheses":               {`C:\x\a.cs(229,30): error CS0618: obsolete`, []failure.Diagnostic{{File: `C:\x\a.cs`, Line: 229, Column: 30, Rule: "CS0618", Message: "error CS0618: obsolete"}}},
		"square brackets":           {"a.ts[5, 1]: no", []failure.Diagnostic{{File: "a.ts", Line: 5, Column: 1, Message: "no"}}},
		"all in square brackets":    {"[a.proto:1:2] no", []failure.Diagnostic{{File: "a.proto", Line: 1, Column: 2, Message: "no"}}},
		"maven":                     {"[ERROR] /x/A.java:[12,34] cannot find symbol", []failure.Diagnostic{{File: "/x/A.java", Line: 12, Column: 34, Message: "cannot find symbol"}}},
		"an arrow":                  {"error[E0425]: cannot find value `x`\n --> src/main.rs:2:5\n  |\n2 | x\n  | ^", []failure.Diagnostic{{File: "src/main.rs", Line: 2, Column: 5, Rule: "E0425", Message: "error[E0425]: cannot find value `x`"}}},
		"below a file's name":       {"/x/a.js\n  2:10  error  'x' is unused  no-unused-vars", []failure.Diagnostic{{File: "/x/a.js", Line: 2, Column: 10, Rule: "no-unused-vars", Message: "'x' is unused"}}},
		"the message below":         {"a.py:18 in public function `x`:\n        D101: Docstring missing", []failure.Diagnostic{{File: "a.py", Line: 18, Rule: "D101", Message: "Docstring missing"}}},
		"words":                     {"/x/a.js: line 2, col 10, Error - unused. (no-unused-vars)", []failure.Diagnostic{{File: "/x/a.js", Line: 2, Column: 10, Rule: "no-unused-vars", Message: "Error - unused. (no-unused-vars)"}}},
		"a file alone":              {"would reformat a/b.py", []failure.Diagnostic{{File: "a/b.py", Message: "would reformat"}}},
		"prettier":                  {"[warn] src/a.js", []failure.Diagnostic{{Tool: "prettier", File: "src/a.js"}}},
		"a frame of Python":         {"  File \"a/b.py\", line 7, in x", []failure.Diagnostic{{File: "a/b.py", Line: 7}}},
		"an annotation":             {"::error file=a.go,line=3,col=4::bad", []failure.Diagnostic{{File: "a.go", Line: 3, Column: 4, Message: "bad"}}},
		"the work tree is left out": {"/home/runner/work/a/a/x/y.go:3:2: bad", []failure.Diagnostic{{File: "x/y.go", Line: 3, Column: 2, Message: "bad"}}},
		"twice the same":            {"a.go:1:2: bad\na.go:1:2: bad", []failure.Diagnostic{{File: "a.go", Line: 1, Column: 2, Message: "bad"}}},
		"a time":                    {"12:30:45: nothing", nil},
		"an address":                {"https://example.com:443: refused", nil},
		"a host":                    {"example.com:443: refused", nil},
		"a version":                 {"1.2:3: x", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, failure.Explain([]byte(tc.log)).Diagnostics); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheToolIsThatOfTheCommand(t *testing.T) {
	got := failure.Explain([]byte(stamp("##[group]Run npx eslint .", "npx eslint .", "shell: x", "##[endgroup]", "/x/a.js", "  2:10  error  bad  no-x", "##[error]Process completed with exit code 1.")))
	if len(got.Diagnostics) != 1 || got.Diagnostics[0].Tool != "eslint" {
		t.Errorf("%+v", got.Diagnostics)
	}
}
