package failure

import "strings"

// Class is the kind of a failure, of a closed set.
type Class string

// The classes, from the one that weighs most to the one that weighs least: where a log says several things, nobody
// can mend the failure without what stands first.
const (
	Infrastructure Class = "infrastructure"
	Permission     Class = "permission"
	Flaky          Class = "flaky"
	Compile        Class = "compile"
	Test           Class = "test"
	Config         Class = "config"
	Dependency     Class = "dependency"
	Generated      Class = "generated"
	Lint           Class = "lint"
	Format         Class = "format"
	Unknown        Class = "unknown"
)

var classes = []Class{Infrastructure, Permission, Flaky, Compile, Test, Config, Dependency, Generated, Lint, Format}

// Classes are all classes.
func Classes() []Class { return append(append([]Class(nil), classes...), Unknown) }

const (
	// strong is the weight of a sign, of a hundred, that needs no other.
	strong = 70
	// nearEnd is how many of a step's last lines are looked at besides the excerpt, at a discount.
	nearEnd = 200
)

// classVerdict is what a log's lines say for one class: the weight of the best sign, and how many there are.
type classVerdict struct {
	weight    int
	lines     int
	evidence  Line
	transient bool
}

// classify decides the class. A sign of a class that stands earlier in the list wins over any number of signs of a
// later one, so that a line that a hostile log adds can make a failure look harder to mend, never easier. A class
// that a fixer may work on also wants the failing command to fit, where the log names one that says anything.
func (r *Report) classify(lines []Line, clean func(string) string) {
	found := map[Class]*classVerdict{}
	shown := map[int]bool{}
	for _, l := range r.Excerpt {
		shown[l.Number] = true
		judge(found, l, 100)
	}
	for _, l := range lines[max(0, len(lines)-nearEnd):] {
		if !shown[l.Number] {
			judge(found, l, 60)
		}
	}
	hint := classOfCommand(r.Command)
	best := Unknown
	for _, c := range classes {
		if v := found[c]; v != nil && (best == Unknown || found[best].weight < strong && v.weight > found[best].weight) {
			best = c
		}
	}
	r.Class = best
	switch v := found[best]; {
	case v == nil && hint == Unknown:
		return
	case v == nil:
		r.Class, r.Confidence = hint, 0.3
	default:
		evidence := v.evidence
		evidence.Text = cut(clean(evidence.Text), maxText)
		r.Evidence, r.Transient = &evidence, v.transient
		r.Confidence = confidence(best, v, hint)
	}
}

// confidence is the weight of the best sign, raised by a command that fits and lowered by one that doesn't.
func confidence(c Class, v *classVerdict, hint Class) float64 {
	w := v.weight
	switch {
	case hint == c:
		w += 15
	case mendable(c) && v.lines < 2:
		// One line that nothing else bears out may be no tool's.
		w -= 45
	case mendable(c) && hint != Unknown:
		w -= 40
	}
	return float64(min(max(w, 10), 95)) / 100
}

// mendable says whether a fixer of the catalogue may work on a class.
func mendable(c Class) bool {
	return c == Format || c == Lint || c == Dependency || c == Generated
}

func judge(found map[Class]*classVerdict, l Line, percent int) {
	lower := strings.ToLower(l.Text)
	for i := range signs {
		s := &signs[i]
		if !s.on(lower, l.Text) {
			continue
		}
		w := s.weight * percent / 100
		v := found[s.class]
		if v == nil {
			v = &classVerdict{}
			found[s.class] = v
		}
		v.lines++
		if w > v.weight {
			v.weight, v.evidence, v.transient = w, l, s.transient
		}
	}
}

// classOfCommand is what a command is there to find; unknown for one that does several things.
func classOfCommand(command string) Class {
	lower := strings.ToLower(command)
	for _, c := range commandHints {
		if containsAny(lower, c.words) {
			return c.class
		}
	}
	return Unknown
}

var commandHints = []struct {
	class Class
	words []string
}{
	{Generated, []string{"git diff --exit-code", "git diff --quiet", "git status --porcelain", "go generate", "mod tidy -diff", "sqlc diff", "check-dist", "verify-codegen"}},
	{Format, []string{"gofmt", "gofumpt", "goimports", "prettier", "black ", "isort", "rustfmt", "cargo fmt", "terraform fmt", "buf format", "shfmt", "dotnet format", "ruff format", "clang-format", "spotless", "scalafmt", "format:check", "fmt"}},
	{Lint, []string{"lint", "ruff", "flake8", "clippy", "mypy", "rubocop", "staticcheck", "go vet", "shellcheck", "stylelint", "phpstan", "psalm", "standard", "checkstyle", "pre-commit", "biome"}},
	{Dependency, []string{"npm ci", "npm install", "yarn install", "pnpm install", "pip install", "bundle install", "composer install", "go mod download", "go mod verify", "poetry install", "cargo fetch"}},
	{Test, []string{"test", "spec", "pytest", "jest", "rake", "tox", "phpunit", "mocha"}},
	{Compile, []string{"build", "compile", "tsc"}},
}
