// Package fix holds the catalogue of fixers: the ecosystems' own tools, each described by one YAML entry, and turns
// a failure and an entry into a plan of shell scripts.
//
// It promises that it runs nothing and reads no files: whoever runs a plan gives it the bytes that it asks for and
// executes its steps in a sandbox. What comes from a log or a repository reaches a script only through Quote, or after
// it matched an entry's own expression for it whole. A fixer that can't be sure of its tool's version declines, always
// with a reason of a closed set.
package fix

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"sort"
	"text/template"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/goccy/go-yaml"

	"github.com/sre-agent/sre-agent/internal/policy"
)

//go:embed catalogue/*.yaml
var embedded embed.FS

// Catalogue is the set of fixers, cheapest first.
type Catalogue struct {
	entries []*entry
}

// spec is an entry as it stands in its file.
type spec struct {
	Name    string      `yaml:"name"`
	Kind    policy.Kind `yaml:"kind"`
	Rank    int         `yaml:"rank"`
	Title   string      `yaml:"title"`
	Rule    string      `yaml:"rule"`
	Needs   []string    `yaml:"needs"`
	When    when        `yaml:"when"`
	Tool    toolSpec    `yaml:"tool"`
	Reads   []string    `yaml:"reads"`
	Touches []string    `yaml:"touches"`
	Checks  []string    `yaml:"checks"`
	Caches  []cacheSpec `yaml:"caches"`
	Setup   string      `yaml:"setup"`
	Prepare *stepSpec   `yaml:"prepare"`
	Fix     stepSpec    `yaml:"fix"`
	Check   stepSpec    `yaml:"check"`
}

// when says that an entry applies: a command or a log expression fits, and every glob has a file.
type when struct {
	Commands []string `yaml:"commands"`
	Logs     []string `yaml:"logs"`
	Files    []string `yaml:"files"`
}

type cacheSpec struct {
	Name string `yaml:"name"`
	Env  string `yaml:"env"`
}

// stepSpec is one script. Fills says that it writes to the caches.
type stepSpec struct {
	Network bool   `yaml:"network"`
	Tree    Access `yaml:"tree"`
	Fills   bool   `yaml:"fills"`
	Setup   string `yaml:"setup"`
	Script  string `yaml:"script"`
}

type entry struct {
	spec
	commands, logs, checks []*regexp.Regexp
	decide                 rule
}

// Load reads the embedded catalogue. An error says which entry is wrong.
func Load() (*Catalogue, error) {
	sub, err := fs.Sub(embedded, "catalogue")
	if err != nil {
		return nil, fmt.Errorf("fix: %w", err)
	}
	return load(sub)
}

func load(dir fs.FS) (*Catalogue, error) {
	names, err := fs.Glob(dir, "*.yaml")
	if err != nil || len(names) == 0 {
		return nil, errors.Join(errors.New("fix: no entries"), err)
	}
	c := &Catalogue{}
	for _, name := range names {
		data, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, fmt.Errorf("fix: read %s: %w", name, err)
		}
		e, err := parseEntry(data)
		if err != nil {
			return nil, fmt.Errorf("fix: %s: %w", name, err)
		}
		if e.Name+".yaml" != name {
			return nil, fmt.Errorf("fix: %s holds the entry %q", name, e.Name)
		}
		c.entries = append(c.entries, e)
	}
	sort.SliceStable(c.entries, func(i, j int) bool { return c.entries[i].Rank < c.entries[j].Rank })
	return c, nil
}

func parseEntry(data []byte) (*entry, error) {
	e := &entry{}
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&e.spec); err != nil {
		return nil, err
	}
	var ok bool
	if e.decide, ok = rules()[e.Rule]; !ok {
		return nil, fmt.Errorf("unknown rule %q", e.Rule)
	}
	for _, group := range []struct {
		from []string
		to   *[]*regexp.Regexp
	}{{e.When.Commands, &e.commands}, {e.When.Logs, &e.logs}, {e.Checks, &e.checks}} {
		for _, expr := range group.from {
			re, err := regexp.Compile(expr)
			if err != nil {
				return nil, err
			}
			*group.to = append(*group.to, re)
		}
	}
	return e, errors.Join(e.validate(), e.Tool.validate())
}

// kinds are what a fixer may be.
var kinds = []policy.Kind{policy.KindFormat, policy.KindLint, policy.KindLock, policy.KindGenerate}

var entryName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

func (e *entry) validate() error {
	switch {
	case !entryName.MatchString(e.Name):
		return fmt.Errorf("name %q", e.Name)
	case !slices.Contains(kinds, e.Kind):
		return fmt.Errorf("kind %q", e.Kind)
	case e.Title == "" || len(e.Touches) == 0 || len(e.When.Files) == 0 || len(e.commands)+len(e.logs) == 0:
		return errors.New("title, touches, when.files and an expression of when are required")
	case e.Fix.Script == "" || e.Check.Script == "":
		return errors.New("fix and check need a script")
	case e.Check.Network || e.Check.Fills:
		return errors.New("a check has no network and fills no cache")
	case e.Prepare != nil && e.Prepare.Tree != AccessNone:
		return errors.New("the step that prepares sees no work tree")
	}
	for _, re := range e.checks {
		if s := re.String(); s[0] != '^' || s[len(s)-1] != '$' {
			return fmt.Errorf("the check expression %q is not anchored", s)
		}
	}
	for _, glob := range slices.Concat(e.When.Files, e.Reads, e.Touches) {
		if !doublestar.ValidatePattern(glob) {
			return fmt.Errorf("glob %q", glob)
		}
	}
	for _, s := range []*stepSpec{e.Prepare, &e.Fix, &e.Check} {
		if s == nil {
			continue
		}
		if s.Tree != AccessNone && s.Tree != AccessRead && s.Tree != AccessWrite {
			return fmt.Errorf("tree %q", s.Tree)
		}
		if _, err := parseTemplate(s.Script); err != nil {
			return err
		}
	}
	return nil
}

func parseTemplate(text string) (*template.Template, error) {
	return template.New("script").Option("missingkey=error").Parse(text)
}

// Names are the fixers' names, cheapest first.
func (c *Catalogue) Names() []string {
	var out []string
	for _, e := range c.entries {
		out = append(out, e.Name)
	}
	return out
}

func (c *Catalogue) entry(name string) *entry {
	for _, e := range c.entries {
		if e.Name == name {
			return e
		}
	}
	return nil
}

func matchesAny(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool { return doublestar.MatchUnvalidated(glob, name) })
}

// ownFile says whether a file is the repository's own, not a copy of somebody else's.
func ownFile(name string) bool {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		switch path.Base(dir) {
		case "vendor", "node_modules", "testdata", ".git":
			return false
		}
		if dir == "/" {
			return false
		}
	}
	return true
}
