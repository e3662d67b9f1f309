package fixplan_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sre-agent/sre-agent/internal/fixplan"
)

const good = `{"root_cause":"flask is too old","category":"dependency","confidence":0.8,"files":["requirements.txt"],
"operations":[{"kind":"pin_dependency","file":"requirements.txt","details":{"name":"flask","version":"2.1"},"rationale":"the check wants it","evidence":"needs flask 2.1"}]}`

func TestAGoodPlanIsReadWhole(t *testing.T) {
	t.Parallel()
	got, err := fixplan.Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	want := fixplan.Plan{
		RootCause: "flask is too old", Category: "dependency", Confidence: 0.8, Files: []string{"requirements.txt"},
		Operations: []fixplan.Operation{{
			Kind: fixplan.PinDependency, File: "requirements.txt", Details: fixplan.Details{Name: "flask", Version: "2.1"},
			Rationale: "the check wants it", Evidence: "needs flask 2.1",
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// with is the good plan with one text replaced by another.
func with(old, text string) string { return strings.Replace(good, old, text, 1) }

func inFile(path string) string {
	quoted, err := json.Marshal(path)
	if err != nil {
		panic(err)
	}
	return strings.ReplaceAll(good, `"requirements.txt"`, string(quoted))
}

func TestABadPlanIsRefusedWithThePlace(t *testing.T) {
	t.Parallel()
	op := good[strings.Index(good, `{"kind"`):strings.LastIndex(good, "]}")]
	details := `{"name":"flask","version":"2.1"}`
	tests := map[string]struct{ plan, want string }{
		"nothing":                          {"", "EOF"},
		"a list":                           {"[]", "array"},
		"an unknown field":                 {with(`"category"`, `"mood":"good","category"`), `"mood"`},
		"an unknown field in an operation": {with(`"kind"`, `"sudo":true,"kind"`), `/operations/0`},
		"an unknown field in details":      {with(`"version"`, `"url":"x","version"`), `/operations/0/details`},
		"a name in other letters":          {with(`"category"`, `"Category"`), `"Category"`},
		"a key given twice":                {with(`"category"`, `"root_cause":"b","category"`), "duplicate"},
		"something behind it":              {good + "{}", "after top-level value"},
		"a number for a text":              {with(`"flask is too old"`, `1`), "/root_cause"},
		"a text for a number":              {with(`0.8`, `"0.8"`), "/confidence"},
		"a missing confidence":             {with(`"confidence":0.8,`, ``), "/confidence is missing"},
		"null for the files":               {with(`["requirements.txt"]`, `null`), "/files is missing"},
		"a confidence above 1":             {with(`0.8`, `1.1`), "/confidence: 1.1"},
		"a confidence below 0":             {with(`0.8`, `-0.1`), "/confidence: -0.1"},
		"an unknown category":              {with(`"dependency"`, `"magic"`), `/category: "magic" is none of`},
		"no root cause":                    {with(`"flask is too old"`, `" "`), "/root_cause: it is missing"},
		"a root cause of two lines":        {with(`flask is too old`, `a\nb`), "/root_cause: it has line ends"},
		"an unknown kind":                  {with(`"pin_dependency"`, `"run_shell"`), `/operations/0/kind: "run_shell"`},
		"no operation":                     {with(op, ``), "/operations: there are 0"},
		"eleven operations":                {with(op, strings.Repeat(op+",", 10)+op), "/operations: there are 11"},
		"the same operation twice":         {with(op, op+","+op), "/operations/1: it is the same as /operations/0"},
		"no evidence":                      {with(`needs flask 2.1`, ``), "/operations/0/evidence: it is missing"},
		"no rationale":                     {with(`"rationale":"the check wants it",`, ``), "/operations/0/rationale: it is missing"},
		"a file that isn't named":          {with(`["requirements.txt"]`, `["other.txt"]`), `/files/0: "other.txt" has no operation`},
		"an operation on an unnamed file":  {with(op, op+","+strings.Replace(op, "requirements.txt", "x.txt", 1)), `/operations/1/file: "x.txt" is not in /files`},
		"a file named twice":               {with(`["requirements.txt"]`, `["requirements.txt","requirements.txt"]`), "/files/1"},
		"an absolute path":                 {inFile("/etc/passwd"), "/files/0"},
		"a path that goes up":              {inFile("a/../../b"), "/files/0"},
		"a path into .git":                 {inFile(".git/config"), "/files/0"},
		"a path into .GIT below":           {inFile("a/.GIT/hooks/x"), "/files/0"},
		"a backslash":                      {inFile(`a\b`), "/files/0"},
		"a control character":              {inFile("a\x01b"), "/files/0"},
		"an invisible character":           {inFile("a\u200bb"), "/files/0"},
		"an empty path":                    {inFile(""), "/files/0"},
		"a version of another kind":        {with(details, `{"name":"flask"}`), "/operations/0/details/version: it is missing"},
		"a field of another kind":          {with(details, `{"name":"flask","version":"1","old":"x"}`), "/operations/0/details/old"},
		"an address as a name":             {with(`"flask"`, `"git+https://example.org/x"`), "/details/name"},
		"an address as a version":          {with(`"2.1"`, `"https://example.org/x"`), "/details/version"},
		"a path as a version":              {with(`"2.1"`, `"../x"`), "/details/version"},
		"a path as a file":                 {with(`"2.1"`, `"file:x"`), "/details/version"},
		"an option as a name":              {with(`"flask"`, `"--index-url=x"`), "/details/name"},
		"a blank in a name":                {with(`"flask"`, `"flask x"`), "/details/name"},
		"a line end in a version":          {with(`"2.1"`, `"2.1\n-r evil"`), "/details/version"},
		"a quote in a version":             {with(`"2.1"`, `"2.1'"`), "/details/version"},
		"a shell in a version":             {with(`"2.1"`, `"$(id)"`), "/details/version"},
		"text that is not UTF-8":           {with("flask is too old", "\xff"), "not UTF-8"},
		"more than 64 KiB":                 {with("flask is too old", strings.Repeat("x", 64<<10)), "at most 65536"},
		"depth":                            {strings.Repeat("[", 60000), "array"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := fixplan.Parse([]byte(tt.plan))
			if err == nil || reason(t, err) != "plan_invalid" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want plan_invalid with %q", err, tt.want)
			}
			if err != nil && (len(err.Error()) > 1200 || strings.ContainsAny(err.Error(), "\n\x01")) {
				t.Errorf("no hint for one line: %q", err.Error())
			}
		})
	}
}

func TestAnAdapterTakesNothingButItsOwnGrammar(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{
		"requirements.txt": []byte("a==1\n"), "package.json": []byte(`{"dependencies":{"a":"1.0.0"}}`),
		"go.mod":       []byte("module x.org/y\n\ngo 1.22\n\nrequire x.org/a v1.0.0\n"),
		"pom.xml":      []byte("<project><dependencies><dependency><groupId>a</groupId><artifactId>b</artifactId><version>1</version></dependency></dependencies></project>"),
		"build.gradle": []byte("dependencies {\n  implementation 'a:b:1'\n}\n"), "Dockerfile": []byte("FROM alpine:3.18\n"),
	}
	names := map[string]string{
		"requirements.txt": "a", "package.json": "a", "go.mod": "x.org/a", "pom.xml": "a:b", "build.gradle": "a:b", "Dockerfile": "alpine",
	}
	for file, name := range names {
		for _, version := range []string{"@evil", "npm:other@1", "workspace:*", "latest", "LATEST", "user/repo", "1.0<x>", "[1,)", "1:2", "==1==2", "${v}", "<b/>"} {
			plan := fixplan.Plan{
				RootCause: "x", Category: "dependency", Confidence: 1, Files: []string{file},
				Operations: []fixplan.Operation{{
					Kind: fixplan.PinDependency, File: file, Details: fixplan.Details{Name: name, Version: version}, Rationale: "x", Evidence: "x",
				}},
			}
			got, err := fixplan.Apply(plan, reader(files))
			if reason(t, err) != "plan_invalid" {
				t.Errorf("%s took version %q: %q, %v", file, version, got.Changed, err)
			}
		}
	}
}

func TestTheSchemaKnowsTheFieldsOfTheTypes(t *testing.T) {
	t.Parallel()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(fixplan.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	root := doc.(map[string]any)
	defs := root["$defs"].(map[string]any)
	for typ, object := range map[reflect.Type]any{
		reflect.TypeFor[fixplan.Plan](): root, reflect.TypeFor[fixplan.Operation](): defs["operation"], reflect.TypeFor[fixplan.Details](): defs["details"],
	} {
		var want, got []string
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			want = append(want, name)
		}
		for name := range object.(map[string]any)["properties"].(map[string]any) {
			got = append(got, name)
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", typ, diff)
		}
	}
	var kinds, categories []string
	for _, k := range defs["operation"].(map[string]any)["properties"].(map[string]any)["kind"].(map[string]any)["enum"].([]any) {
		kinds = append(kinds, k.(string))
	}
	for _, c := range root["properties"].(map[string]any)["category"].(map[string]any)["enum"].([]any) {
		categories = append(categories, c.(string))
	}
	for i, k := range fixplan.Kinds() {
		if kinds[i] != string(k) || len(kinds) != len(fixplan.Kinds()) {
			t.Errorf("kinds %q", kinds)
		}
	}
	if diff := cmp.Diff(fixplan.Categories(), categories); diff != "" {
		t.Error(diff)
	}
}

func TestEveryPlanThatIsReadFitsTheSchema(t *testing.T) {
	t.Parallel()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(fixplan.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("plan.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("plan.json")
	if err != nil {
		t.Fatal(err)
	}
	check := func(plan string) error {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(plan))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(v)
	}
	for _, g := range goldens(t) {
		if err := check(string(g.plan)); err != nil {
			t.Errorf("%s: %v", g.name, err)
		}
	}
	for _, bad := range []string{with(`"kind"`, `"sudo":1,"kind"`), with(`"pin_dependency"`, `"x"`), with(`0.8`, `2`), with(`"rationale":"the check wants it",`, ``)} {
		if check(bad) == nil {
			t.Errorf("the schema takes %s", bad)
		}
	}
}
