package cut

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const small = `{"openapi":"3.0.3","info":{"title":"t","version":"1","contact":{"name":"x"}},"paths":{
	"/a":{"get":{"summary":"s","operationId":"a","tags":["x"],"x-github":{},
		"parameters":[{"$ref":"#/components/parameters/p"}],
		"responses":{"200":{"description":"long","content":{"application/json":{"schema":{"$ref":"#/components/schemas/s"},"examples":{"e":{"$ref":"#/components/examples/e"}}}}}}},
		"delete":{"operationId":"gone"}},
	"/b":{"get":{"operationId":"b"}}},
	"components":{"parameters":{"p":{"name":"p","in":"query","description":"d","schema":{"type":"string","example":"x"}}},
		"schemas":{"s":{"type":"object","description":"d","properties":{"description":{"type":"string","description":"d"},"self":{"$ref":"#/components/schemas/s"}}},"unused":{}},
		"examples":{"e":{}}}}`

const pruned = `{"openapi":"3.0.3","info":{"title":"t","version":"1"},"paths":{
	"/a":{"get":{"operationId":"a","parameters":[{"$ref":"#/components/parameters/p"}],
		"responses":{"200":{"description":"","content":{"application/json":{"schema":{"$ref":"#/components/schemas/s"}}}}}}}},
	"components":{"parameters":{"p":{"name":"p","in":"query","schema":{"type":"string"}}},
		"schemas":{"s":{"type":"object","properties":{"description":{"type":"string"},"self":{"$ref":"#/components/schemas/s"}}}}}}`

func parse(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPruneKeepsWhatIsReferredToAndDropsProse(t *testing.T) {
	got, err := Description(parse(t, []byte(small)), map[string][]string{"/a": {"get"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(parse(t, []byte(pruned)), got); diff != "" {
		t.Errorf("pruned (-want +got):\n%s", diff)
	}
	if _, err := Description(parse(t, []byte(small)), map[string][]string{"/none": {"get"}}); err == nil {
		t.Error("an operation that is not there is no error")
	}
}
