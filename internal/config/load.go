package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v10"
)

// Where a value came from.
const (
	FromEnvironment = "environment"
	FromFile        = "file"
	FromDefault     = "default"
	NotSet          = "not set"
)

// Environ returns the process's environment in the form that Load takes.
func Environ() map[string]string {
	environ := make(map[string]string)
	for _, pair := range os.Environ() {
		if name, value, ok := strings.Cut(pair, "="); ok {
			environ[name] = value
		}
	}
	return environ
}

// Problem is one thing that is wrong with one variable. It never holds a secret's value.
type Problem struct {
	Variable string
	// Given says what the variable is now, Want what it may be.
	Given, Want, Example string
}

func (p Problem) String() string {
	text := p.Variable + " " + p.Given + ": want " + p.Want
	if p.Example != "" {
		text += "; for example " + p.Variable + "=" + p.Example
	}
	return text
}

// Error lists every problem of a configuration.
type Error struct {
	Program  Program
	Problems []Problem
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the configuration of %s has %s:", e.Program, plural(len(e.Problems), "problem"))
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// Load reads the configuration of a program. A bad one gives an *Error that lists every problem; the Config is returned
// with it, so that a listing can show the rest, but a service must not start with it.
func Load(program Program, environ map[string]string) (*Config, error) {
	cfg := &Config{program: program, sources: make(map[string]string)}
	l := &loader{cfg: cfg, environ: environ, bad: make(map[string]bool)}
	vars := Describe()

	values := make(map[string]string)
	for _, v := range vars {
		if !v.readBy(program) {
			continue
		}
		value, source := l.lookup(v)
		cfg.sources[v.Name] = source
		if value != "" {
			values[v.Name] = value
		}
	}
	if err := l.parse(vars, values); err != nil {
		return nil, err
	}
	for _, v := range vars {
		if v.readBy(program) && !l.bad[v.Name] {
			l.checkVariable(v)
		}
	}
	l.checkTogether()
	l.warn(vars)
	if len(l.problems) > 0 {
		inOrder(l.problems, vars)
		return cfg, &Error{Program: program, Problems: l.problems}
	}
	return cfg, nil
}

// inOrder sorts problems as the documentation lists the variables.
func inOrder(problems []Problem, vars []Variable) {
	place := func(p Problem) int {
		return slices.IndexFunc(vars, func(v Variable) bool { return v.Name == strings.TrimSuffix(p.Variable, "_FILE") })
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return place(a) - place(b) })
}

type loader struct {
	cfg      *Config
	environ  map[string]string
	problems []Problem
	bad      map[string]bool // variables that have a problem already
}

func (l *loader) problem(v Variable, given, want string) {
	l.problems = append(l.problems, Problem{Variable: v.Name, Given: given, Want: want, Example: v.Example})
	l.bad[v.Name] = true
}

// lookup finds the value of a variable: from the environment, or for a secret from the file that NAME_FILE names.
func (l *loader) lookup(v Variable) (value, source string) {
	value = l.environ[v.Name]
	path := ""
	if v.Secret {
		path = l.environ[v.Name+"_FILE"]
	}
	switch {
	case value != "" && path != "":
		l.problem(v, "is set, and so is "+v.Name+"_FILE", "one of the two")
		return "", FromEnvironment
	case path != "":
		text, warning, err := readSecretFile(path)
		if warning != "" {
			l.cfg.warnings = append(l.cfg.warnings, v.Name+"_FILE: "+warning)
		}
		if err != nil {
			l.problems = append(l.problems, Problem{Variable: v.Name + "_FILE", Given: fmt.Sprintf("is %q", clip(path)), Want: "a readable file that holds the secret (" + err.Error() + ")"})
			l.bad[v.Name] = true
		}
		return text, FromFile
	case value != "":
		return value, FromEnvironment
	case v.Default != "":
		return "", FromDefault
	default:
		return "", NotSet
	}
}

// parse lets caarlos0/env fill the struct and puts its errors, which name fields, in terms of variables.
func (l *loader) parse(vars []Variable, values map[string]string) error {
	err := env.ParseWithOptions(l.cfg, env.Options{Environment: values})
	if err == nil {
		return nil
	}
	var all env.AggregateError
	if !errors.As(err, &all) {
		return fmt.Errorf("config: %w", err)
	}
	for _, one := range all.Errors {
		var parse env.ParseError
		if !errors.As(one, &parse) {
			return fmt.Errorf("config: %w", one)
		}
		for _, v := range vars {
			if v.field == parse.Name {
				l.problem(v, given(v, values[v.Name]), v.Allowed())
			}
		}
	}
	return nil
}

// given says what a variable is now, without its secrets.
func given(v Variable, value string) string {
	if v.Secret {
		return "is set to something else"
	}
	return fmt.Sprintf("is %q", clip(maskCredentials(value)))
}

func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "..."
	}
	return s
}

// Text returns the value that a variable has, for people; a secret is hidden.
func (c *Config) text(v Variable) string {
	value := reflect.ValueOf(c).Elem().FieldByIndex(v.index)
	switch x := value.Interface().(type) {
	case Secret:
		if !x.IsSet() {
			return ""
		}
		return hidden
	case SecretList:
		if len(x) == 0 {
			return ""
		}
		return hidden + " (" + plural(len(x), "secret") + ")"
	case List:
		return strings.Join(x, ",")
	default:
		return maskCredentials(fmt.Sprint(x))
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
