package config_test

import (
	"os"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/config"
)

func TestTheDocumentIsCurrent(t *testing.T) {
	got, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), config.Markdown()); diff != "" {
		t.Errorf("docs/configuration.md is stale; run: go generate ./internal/config\n(-file +struct tags):\n%s", diff)
	}
}

func TestEveryVariableIsDescribedAndItsDefaultIsAllowed(t *testing.T) {
	names, fields := make(map[string]bool), make(map[string]bool)
	for _, v := range config.Describe() {
		if v.Name == "" || v.Description == "" || v.Section == "" || v.Allowed() == "" {
			t.Errorf("incomplete: %+v", v)
		}
		if names[v.Name] {
			t.Errorf("%s is there twice", v.Name)
		}
		names[v.Name] = true
		if v.Default == "" && v.Example == "" {
			t.Errorf("%s has neither a default nor an example", v.Name)
		}
	}
	root := reflect.TypeFor[config.Config]()
	for i := range root.NumField() {
		if section := root.Field(i); section.Anonymous {
			for j := range section.Type.NumField() {
				// Problems find their variable by the field's name, and promoted fields must not hide each other.
				if name := section.Type.Field(j).Name; fields[name] {
					t.Errorf("field %s is there twice", name)
				} else {
					fields[name] = true
				}
			}
		}
	}
	if len(names) != len(fields) || len(names) < 40 {
		t.Errorf("%d variables, %d fields", len(names), len(fields))
	}
}
