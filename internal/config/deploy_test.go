package config

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What is deployed names variables; these hold it to Describe.

var services = []Program{Ingest, Throttle, Runner, Publisher}

func deployed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// known returns the variable that a name in a program's environment means; a secret may come from a file.
func known(name string, p Program) (Variable, bool) {
	for _, v := range Describe() {
		if (v.Name == name || v.Secret && v.Name+"_FILE" == name) && v.readBy(p) {
			return v, true
		}
	}
	return Variable{}, false
}

var variableName = regexp.MustCompile(`\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b`)

// holdTo checks that each name is one that the program reads, and that what it needs is among them.
func holdTo(t *testing.T, where string, p Program, names []string) {
	t.Helper()
	has := map[string]bool{}
	for _, name := range names {
		if strings.HasPrefix(name, "OTEL_") {
			continue
		}
		v, ok := known(name, p)
		if !ok {
			t.Errorf("%s gives %s to the %s, which does not read it", where, name, p)
		}
		has[v.Name] = true
	}
	for _, v := range Describe() {
		if v.requiredBy(p) && !has[v.Name] {
			t.Errorf("%s does not give %s to the %s, which needs it", where, v.Name, p)
		}
	}
	// What it may start without, and hardly works without: a publisher without Redis makes a tenth of its writes.
	for _, name := range map[Program][]string{Ingest: {"GITHUB_WEBHOOK_SECRETS"}, Publisher: {"GITHUB_WRITE_TOKEN", "REDIS_URL"}}[p] {
		if !has[name] {
			t.Errorf("%s gives the %s no %s", where, p, name)
		}
	}
}

func TestTheUnitsNameWhatTheProgramsRead(t *testing.T) {
	environment := regexp.MustCompile(`(?m)^Environment=(.*)$`)
	assigned := regexp.MustCompile(`([A-Z_0-9]+)=(\S*)`)
	for _, p := range services {
		file := fmt.Sprintf("deploy/systemd/sre-agent-%s.service", p)
		text := deployed(t, file)
		names := []string{"NATS_URL"} // of common.env, as docs/deploy.md says
		for _, line := range environment.FindAllStringSubmatch(text, -1) {
			for _, m := range assigned.FindAllStringSubmatch(line[1], -1) {
				names = append(names, m[1])
				if id, isFile := strings.CutPrefix(m[2], "%d/"); isFile && !strings.Contains(text, "\nLoadCredential="+id+":") {
					t.Errorf("%s loads no credential %s", file, id)
				}
			}
		}
		holdTo(t, file, p, names)
	}
}

func TestTheComposeFileNamesWhatTheProgramsRead(t *testing.T) {
	text := deployed(t, "deploy/compose.yaml")
	name := regexp.MustCompile(`(?m)^ +([A-Z][A-Z0-9_]+): `)
	common := text[strings.Index(text, "x-env:"):strings.Index(text, "services:\n")]
	for _, p := range services {
		_, block, ok := strings.Cut(text, "\n  "+string(p)+":\n")
		if !ok {
			t.Fatalf("no %s", p)
		}
		block, _, _ = strings.Cut(block, "\n\n")
		var names []string
		for _, m := range name.FindAllStringSubmatch(common+block, -1) {
			names = append(names, m[1])
		}
		holdTo(t, "deploy/compose.yaml", p, names)
	}
}

func TestTheManifestsNameWhatTheProgramsRead(t *testing.T) {
	var knobs []string
	for _, m := range regexp.MustCompile(`(?m)^  ([A-Z][A-Z0-9_]+): `).FindAllStringSubmatch(deployed(t, "deploy/kubernetes/base/config.yaml"), -1) {
		knobs = append(knobs, m[1])
	}
	for _, p := range services {
		file := fmt.Sprintf("deploy/kubernetes/base/%s.yaml", p)
		head, _, _ := strings.Cut(deployed(t, file), "\napiVersion:")
		holdTo(t, file, p, append(variableName.FindAllString(head, -1), knobs...))
	}
}

func TestThePageOfSecretsIsWhole(t *testing.T) {
	text := deployed(t, "docs/deploy.md")
	for _, p := range services {
		var row string
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, fmt.Sprintf("| %s | `NATS_PASSWORD`", p)) {
				row = line
			}
		}
		listed, want := map[string]bool{}, map[string]bool{}
		for _, name := range variableName.FindAllString(row, -1) {
			listed[name] = true
		}
		for _, v := range Describe() {
			if v.Secret && v.readBy(p) {
				want[v.Name] = true
			}
		}
		if !maps.Equal(listed, want) {
			t.Errorf("docs/deploy.md has for the %s %v, want %v", p, slices.Sorted(maps.Keys(listed)), slices.Sorted(maps.Keys(want)))
		}
	}
}
