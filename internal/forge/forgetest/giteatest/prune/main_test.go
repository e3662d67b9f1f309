package main

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest/prune/cut"
)

func TestTheKeptDescriptionsAreCurrent(t *testing.T) {
	for _, name := range []string{"gitea", "forgejo"} {
		raw, err := os.ReadFile("../openapi/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var kept map[string]any
		if err := json.Unmarshal(raw, &kept); err != nil {
			t.Fatal(err)
		}
		again, err := cut.Description(kept, operations())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(kept, again); diff != "" {
			t.Errorf("%s.json is not what this program writes (-kept +pruned again):\n%s", name, diff)
		}
	}
}
