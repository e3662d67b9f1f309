package policy

import (
	"slices"

	"github.com/sre-agent/sre-agent/internal/patch"
)

// Danger is how much a patch deserves a person's eye, with what it is made of.
type Danger struct {
	Score int    `json:"score"`
	Parts []Part `json:"parts,omitempty"`
}

// Part is one factor's share of a danger score.
type Part struct {
	Name   string `json:"name"`
	Points int    `json:"points"`
}

const (
	pointsPerFile   = 5
	pointsPer50     = 5
	pointsPer10KB   = 3
	linesPerStep    = 50
	bytesPerStep    = 10_000
	pointsRiskiest  = 30
	pointsRiskyPath = 25
)

// risky are the paths that something executes, outside the repository's own tests.
var risky = []struct {
	name   string
	points int
	globs  []string
}{
	{"install hooks", pointsRiskiest, []string{
		"package.json", "setup.py", "setup.cfg", "build.rs", "pom.xml", "build.gradle*", "settings.gradle*", "*.gemspec", "binding.gyp",
		"composer.json", "**/gradle/wrapper/**", "gradlew*", "mvnw*", "**/.mvn/**",
	}},
	{"build scripts", pointsRiskyPath, []string{
		"Makefile*", "GNUmakefile", "*.mk", "Taskfile*", "justfile", "Rakefile", "CMakeLists.txt", "*.cmake", "magefile.go", "BUILD", "BUILD.bazel", "WORKSPACE*",
		"*.sh", "*.bash", "*.ps1", "*.bat", "*.cmd", "scripts/**", "script/**", "ci/**", "hack/**", "bin/**", "tox.ini", "noxfile.py", "conftest.py", "action.yml", "action.yaml",
	}},
	{"containers and deployment", pointsRiskyPath, []string{
		"Dockerfile*", "*.Dockerfile", "Containerfile*", "docker-compose*", "compose.y*ml", "*.tf", "*.tfvars", "**/helm/**", "**/charts/**", "**/k8s/**", "**/deploy/**", "**/migrations/**",
	}},
	{"tool settings", pointsRiskyPath, []string{
		".pre-commit-config.yaml", ".gitattributes", ".eslintrc*", "eslint.config.*", ".prettierrc*", "prettier.config.*", "babel.config.*", "jest.config.*", "vite.config.*", "vitest.config.*", "webpack.config.*", ".golangci.y*ml", "dependabot.yml", "renovate.json*",
	}},
	{"agent instructions", pointsRiskyPath, []string{
		"AGENTS.md", "AGENT.md", "CLAUDE*.md", "GEMINI.md", ".github/copilot-instructions.md", ".github/instructions/**", ".github/prompts/**", ".github/agents/**",
	}},
	{"security code", pointsRiskyPath, []string{"**/auth/**", "**/security/**", "**/crypto/**", "**/payments/**"}},
}

// Kind says what made a patch: a fixer's or an operation's kind.
type Kind string

// The kinds of fixers; the kinds of a plan's operations have the names that the plan gives them.
const (
	KindFormat   Kind = "format"
	KindLint     Kind = "lint"
	KindLock     Kind = "lock"
	KindGenerate Kind = "generate"
	KindAgent    Kind = "agent"
)

// kindPoints say how much a kind can go wrong. A formatter's change means nothing; code that was thought up does.
var kindPoints = map[Kind]int{
	KindFormat: 0, KindLint: 5, KindLock: 5, KindGenerate: 5, KindAgent: 20,
	"remove_unused": 5, "pin_dependency": 5, "add_dependency": 10, "update_config": 10, "modify_code": 15,
}

// danger adds up the factors; each kind of risky path, and each kind of operation, counts once.
func danger(p *patch.Patch, kinds []Kind) Danger {
	lines := 0
	for _, f := range p.Files {
		lines += f.Added + f.Removed
	}
	var d Danger
	d.add("files", len(p.Files)*pointsPerFile)
	d.add("lines", lines/linesPerStep*pointsPer50)
	d.add("bytes", p.Bytes/bytesPerStep*pointsPer10KB)
	for _, kind := range risky {
		if touches(p, kind.globs) {
			d.add("risky path: "+kind.name, kind.points)
		}
	}
	kinds = slices.Sorted(slices.Values(kinds)) // the caller's own stays as it is
	for _, kind := range slices.Compact(kinds) {
		points, known := kindPoints[kind]
		if !known {
			points = pointsRiskyPath
		}
		d.add("operation: "+string(kind), points)
	}
	return d
}

func (d *Danger) add(name string, points int) {
	if points == 0 {
		return
	}
	d.Score += points
	d.Parts = append(d.Parts, Part{Name: name, Points: points})
}

func touches(p *patch.Patch, globs []string) bool {
	for _, f := range p.Files {
		for _, path := range f.Paths() {
			if _, ok := matchAny(globs, path); ok {
				return true
			}
		}
	}
	return false
}
