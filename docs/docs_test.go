// Package docs has no code: its test reads the documentation and says where it names what is not there.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/streams"
)

const root = ".."

// page is one Markdown file of the project.
type page struct {
	// path is relative to the repository's root.
	path string
	text string
}

var (
	fence = regexp.MustCompile("(?ms)^```[^\n]*\n(.*?)^```")
	span  = regexp.MustCompile("`([^`\n]+)`")
)

// prose is the page without its code blocks.
func (p page) prose() string { return fence.ReplaceAllString(p.text, "") }

// code is the page's code blocks and code spans.
func (p page) code() []string {
	var out []string
	for _, m := range fence.FindAllStringSubmatch(p.text, -1) {
		out = append(out, m[1])
	}
	return append(out, p.spans()...)
}

func (p page) spans() []string {
	var out []string
	for _, m := range span.FindAllStringSubmatch(p.prose(), -1) {
		out = append(out, m[1])
	}
	return out
}

func pages(t *testing.T) []page {
	t.Helper()
	paths := []string{"README.md", "CHANGELOG.md"}
	for _, dir := range []string{"docs", "deploy"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".md") {
				rel, _ := filepath.Rel(root, path)
				paths = append(paths, filepath.ToSlash(rel))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(paths) < 10 {
		t.Fatalf("only %d pages: %q", len(paths), paths)
	}
	out := make([]page, 0, len(paths))
	for _, path := range paths {
		out = append(out, page{path, read(t, path)})
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// found checks what re's first group finds in the texts of every page, and that it finds something at all.
func found(t *testing.T, re *regexp.Regexp, texts func(page) []string, ok func(p page, name string) bool, complaint string) {
	t.Helper()
	n := 0
	for _, p := range pages(t) {
		for _, text := range texts(p) {
			for _, m := range re.FindAllStringSubmatch(text, -1) {
				if n++; !ok(p, m[1]) {
					t.Errorf("%s: %q %s", p.path, m[1], complaint)
				}
			}
		}
	}
	if n == 0 {
		t.Errorf("no page has anything that matches %s", re)
	}
}

func whole(p page) []string { return []string{p.text} }

var heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)

// anchors are the names that GitHub gives a page's headings.
func anchors(text string) []string {
	var out []string
	for _, m := range heading.FindAllStringSubmatch(page{text: text}.prose(), -1) {
		slug := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		out = append(out, strings.ReplaceAll(slug, " ", "-"))
	}
	return out
}

func TestEveryRelativeLinkLeadsSomewhere(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	found(t, link, func(p page) []string { return []string{span.ReplaceAllString(p.prose(), "code")} }, func(p page, to string) bool {
		if strings.HasPrefix(to, "https://") {
			return true
		}
		path, anchor, _ := strings.Cut(to, "#")
		target := p.path
		if path != "" {
			target = filepath.Join(filepath.Dir(p.path), path)
		}
		if _, err := os.Stat(filepath.Join(root, target)); err != nil {
			return false
		}
		return anchor == "" || slices.Contains(anchors(read(t, target)), anchor)
	}, "leads nowhere")
}

func TestEveryAlertLinksToASectionOfTheRunbookThatNamesIt(t *testing.T) {
	t.Parallel()
	alerts := regexp.MustCompile(`(?s)- alert: (\w+)\n.*?/docs/ops\.md#(\S+)`).FindAllStringSubmatch(read(t, "deploy/prometheus/rules.yaml"), -1)
	if len(alerts) < 20 {
		t.Fatalf("only %d alerts are read", len(alerts))
	}
	runbook := read(t, "docs/ops.md")
	for _, alert := range alerts {
		_, section, found := strings.Cut(runbook, "\n### "+alert[2]+"\n")
		section, _, _ = strings.Cut(section, "\n### ")
		if !found || !strings.Contains(section, "`"+alert[1]+"`") {
			t.Errorf("%s links to docs/ops.md#%s, which is not there or does not name it", alert[1], alert[2])
		}
	}
}

func TestEveryPathInTheTextExists(t *testing.T) {
	t.Parallel()
	path := regexp.MustCompile(`^((?:cmd|services|streams|internal|migrations|docs|deploy)/[\w./-]+)$`)
	found(t, path, page.spans, func(_ page, name string) bool {
		_, err := os.Stat(filepath.Join(root, name))
		return err == nil
	}, "is no file or folder of the project")
}

func TestEveryVariableInTheTextIsOneOfTheConfiguration(t *testing.T) {
	t.Parallel()
	var names, ours []string
	for _, v := range config.Describe() {
		names = append(names, v.Name)
		if v.Secret {
			names = append(names, v.Name+"_FILE")
		}
		first, _, _ := strings.Cut(v.Name, "_")
		ours = append(ours, first)
	}
	variable := regexp.MustCompile(`\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b`)
	found(t, variable, whole, func(_ page, name string) bool {
		first, _, _ := strings.Cut(name, "_")
		return !slices.Contains(ours, first) || slices.Contains(names, name) || strings.Contains(streamsText(), name)
	}, "looks like a variable of ours and is none")
}

// streamsText holds the subjects of the table, which have words in capital letters too.
func streamsText() string {
	var b strings.Builder
	for _, row := range streams.Topology(streams.Settings{MaxAttempts: 3}) {
		b.WriteString(strings.Join(row.Stream.Subjects, " ") + "\n")
	}
	return b.String()
}

func TestEveryMetricInTheTextExists(t *testing.T) {
	t.Parallel()
	var names []string
	for _, m := range telemetry.Metrics() {
		names = append(names, m.Name)
	}
	found(t, regexp.MustCompile(`\b(sre_agent_[a-z_]+)\b`), whole, func(_ page, name string) bool {
		return slices.Contains(names, name)
	}, "is no metric")
}

func TestEveryMakeTargetInTheTextExists(t *testing.T) {
	t.Parallel()
	makefile := read(t, "Makefile")
	found(t, regexp.MustCompile(`\bmake ([a-z][a-z-]*)`), page.code, func(_ page, name string) bool {
		return regexp.MustCompile(`(?m)^` + name + `:`).MatchString(makefile)
	}, "is no target of the Makefile")
}

// The commands are read from the sources: a test can't import a main package.
func TestEveryCommandInTheTextExists(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "cmd/sre-agent/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	use := regexp.MustCompile(`Use: +"([a-z-]+)`)
	for _, file := range files {
		rel, _ := filepath.Rel(root, file)
		for _, m := range use.FindAllStringSubmatch(read(t, rel), -1) {
			commands = append(commands, m[1])
		}
	}
	// What begins with a slash is a comment on a pull request.
	found(t, regexp.MustCompile(`(?:^|[^/\w-])sre-agent ([a-z]+)\b`), page.code, func(_ page, name string) bool {
		return slices.Contains(commands, name)
	}, "is no command of sre-agent")
	found(t, regexp.MustCompile(`\bsre-agent (?:runs|streams|dead|deliveries) ([a-z]+)\b`), page.code, func(_ page, name string) bool {
		return slices.Contains(commands, name)
	}, "is no command of sre-agent")
}

func TestTheTableOfStreamsIsTheTopology(t *testing.T) {
	t.Parallel()
	lines := strings.Split(read(t, "docs/architecture.md"), "\n")
	for _, row := range streams.Topology(streams.Settings{MaxAttempts: 3}) {
		words := append([]string{"| `" + row.Stream.Name + "` |"}, row.Stream.Subjects...)
		for _, c := range row.Consumers {
			words = append(words, "| `"+c.Durable+"` |")
		}
		if !slices.ContainsFunc(lines, func(line string) bool {
			return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) })
		}) {
			t.Errorf("docs/architecture.md has no line of its table with all of %q", words)
		}
	}
}

func TestTheExampleOfRepositorySettingsIsValid(t *testing.T) {
	t.Parallel()
	examples := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(read(t, "docs/getting-started.md"), -1)
	if len(examples) == 0 {
		t.Fatal("there is no example")
	}
	for _, m := range examples {
		cfg, err := repoconfig.Parse([]byte(m[1]))
		if err != nil {
			t.Errorf("%v in\n%s", err, m[1])
			continue
		}
		if check, ok := cfg.CheckFor("CI", "lint"); !ok || !strings.Contains(check, "gofmt") || cfg.Mode != repoconfig.ModeShadow {
			t.Errorf("the example is read as %+v", cfg)
		}
	}
}

func TestTheServersConfigurationIsDurableAndLargeEnough(t *testing.T) {
	t.Parallel()
	opts, err := server.ProcessConfigFile(filepath.Join(root, "deploy/nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Operator, map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	var reserved int64
	for _, row := range streams.Topology(streams.SettingsFrom(cfg)) {
		reserved += row.Stream.MaxBytes
	}
	if !opts.JetStream || !opts.SyncAlways || opts.JetStreamMaxStore < reserved || opts.Host != "127.0.0.1" {
		t.Errorf("JetStream %v, sync always %v, %d bytes for %d, on %q", opts.JetStream, opts.SyncAlways, opts.JetStreamMaxStore,
			reserved, opts.Host)
	}
	if opts.StoreDir != "" {
		t.Error("it has a store_dir: the server refuses that beside the -sd of our commands")
	}
}
