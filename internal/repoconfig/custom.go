package repoconfig

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

const (
	maxCustom     = 20
	maxExprs      = 20
	maxExpr       = 500
	maxToolAnswer = 100
)

// CustomFixer is a fixer of the repository's own. Its commands run in the sandbox, from the root of the work tree and
// without a network; what it changes is judged by the same policy as every other patch.
type CustomFixer struct {
	Name string     `yaml:"name"`
	When CustomWhen `yaml:"when"`
	// Tool, if it is given, has to answer with the version, or the fixer declines.
	Tool CustomTool `yaml:"tool"`
	Fix  string     `yaml:"fix"`
	// Touches are the only files that Fix may change.
	Touches []string `yaml:"touches"`
	// Check is red before the fix and green after it.
	Check string `yaml:"check"`
}

// CustomWhen says that a fixer applies: an expression fits the failing command or a line of the log's excerpt, and
// every glob has a file.
type CustomWhen struct {
	Commands []string `yaml:"commands"`
	Logs     []string `yaml:"logs"`
	Files    []string `yaml:"files"`
}

// CustomTool is a command and the version that its output has to hold.
type CustomTool struct {
	Command string `yaml:"command"`
	Version string `yaml:"version"`
}

// toolVersion is one whole version, so that 1.2 is not found in 11.25.
var toolVersion = regexp.MustCompile(`^[0-9][0-9A-Za-z.+-]*$`)

func (c *Config) validateCustom(data []byte) error {
	if len(c.CustomFixers) > maxCustom {
		return at(data, "$.custom_fixers", "%d fixers: write at most %d", len(c.CustomFixers), maxCustom)
	}
	seen := map[string]bool{}
	for i, f := range c.CustomFixers {
		where, problem := f.problem()
		if problem == "" && seen[f.Name] {
			where, problem = ".name", fmt.Sprintf("%q is the name of an earlier fixer: choose another", f.Name)
		}
		if problem != "" {
			path := fmt.Sprintf("$.custom_fixers[%d]", i)
			return fmt.Errorf("%s, line %d: fixer %d: %s", Path, max(lineOf(data, path+where), lineOf(data, path)), i+1, problem)
		}
		seen[f.Name] = true
	}
	return nil
}

// problem is what is wrong with a fixer and what to do, and the path of the setting below the fixer.
func (f CustomFixer) problem() (where, what string) {
	switch {
	case !fixerName.MatchString(f.Name):
		return ".name", fmt.Sprintf("%q is no name: use lower-case letters, digits and dashes", f.Name)
	case len(f.When.Commands)+len(f.When.Logs) == 0:
		return ".when", "nothing says when it applies: write when with commands or logs"
	case badCommand(f.Fix):
		return ".fix", "no usable fix: write the command that mends it"
	case badCommand(f.Check):
		return ".check", "no usable check: write the command that is red before and green after"
	case len(f.Touches) == 0:
		return ".touches", "nothing says what it may change: write touches with globs such as gen/**"
	case (f.Tool.Command == "") != (f.Tool.Version == ""):
		return ".tool", "write both the tool's command and its version, or neither"
	case f.Tool.Command != "" && badCommand(f.Tool.Command):
		return ".tool", "no usable command of the tool: write one such as protoc --version"
	case f.Tool.Version != "" && (!toolVersion.MatchString(f.Tool.Version) || len(f.Tool.Version) > maxToolAnswer):
		return ".tool.version", fmt.Sprintf("%q is no version: write one such as 25.1, in quotes", f.Tool.Version)
	}
	for _, group := range []struct {
		where string
		exprs []string
	}{{".when.commands", f.When.Commands}, {".when.logs", f.When.Logs}} {
		for i, expr := range group.exprs {
			if _, err := regexp.Compile(expr); err != nil || expr == "" || len(expr) > maxExpr || i >= maxExprs {
				return group.where, fmt.Sprintf("%q is no usable expression: write a regular expression as Go knows them, at most %d of them", expr[:min(len(expr), maxExpr)], maxExprs)
			}
		}
	}
	for _, group := range []struct {
		where string
		globs []string
	}{{".when.files", f.When.Files}, {".touches", f.Touches}} {
		for i, glob := range group.globs {
			if glob == "" || strings.HasPrefix(glob, "/") || strings.Contains("/"+glob+"/", "/../") || !doublestar.ValidatePattern(glob) || i >= maxExprs {
				return group.where, fmt.Sprintf("%q is no glob of files below the root: use *, ** and ? as in gen/**, at most %d of them", glob, maxExprs)
			}
		}
	}
	return "", ""
}

func badCommand(s string) bool {
	return strings.TrimSpace(s) == "" || len(s) > maxRun || strings.ContainsRune(s, 0)
}
