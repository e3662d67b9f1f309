package main

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest/prune/cut"
)

func parse(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTheKeptDescriptionIsCurrent(t *testing.T) {
	text, err := os.ReadFile("../openapi/github.json")
	if err != nil {
		t.Fatal(err)
	}
	kept := parse(t, text)
	again, err := cut.Description(kept, operations())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(kept, again); diff != "" {
		t.Errorf("github.json is not what this program writes (-kept +pruned again):\n%s", diff)
	}
}
