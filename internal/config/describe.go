package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Variable describes one environment variable, as the struct tags have it.
type Variable struct {
	Name, Section, Description, Default, Unit, Example string

	// Programs read the variable; Required of them can't start without it.
	Programs, Required []Program
	// Secret values are hidden, and may come from a file named by Name + "_FILE".
	Secret bool

	kind     reflect.Type
	field    string
	index    []int
	min, max string
	allowed  []string
	schemes  []string
	check    string
	list     bool
}

var everyProgram = []Program{Ingest, Throttle, Runner, Publisher, All, Operator}

// Describe lists every variable in the order of the documentation.
func Describe() []Variable {
	var vars []Variable
	root := reflect.TypeFor[Config]()
	for i := range root.NumField() {
		section := root.Field(i)
		if !section.Anonymous {
			continue
		}
		for j := range section.Type.NumField() {
			v := variable(section.Type.Field(j))
			v.Section, v.index = section.Tag.Get("title"), []int{i, j}
			vars = append(vars, v)
		}
	}
	return vars
}

func variable(f reflect.StructField) Variable {
	tag := f.Tag.Get
	v := Variable{
		Name: tag("env"), Description: tag("desc"), Default: tag("envDefault"), Unit: tag("unit"), Example: tag("example"),
		Programs: everyProgram, Required: programs(tag("required")),
		Secret: f.Type == reflect.TypeFor[Secret]() || f.Type == reflect.TypeFor[SecretList](),
		kind:   f.Type, field: f.Name, min: tag("min"), max: tag("max"), check: tag("check"), list: tag("list") != "",
	}
	if only := tag("for"); only != "" {
		v.Programs = programs(only)
	}
	if allowed := tag("allowed"); allowed != "" {
		v.allowed = strings.Split(allowed, ",")
	}
	if schemes := tag("url"); schemes != "" {
		v.schemes = strings.Split(schemes, ",")
	}
	if v.Example == "" {
		v.Example = v.Default
	}
	return v
}

func programs(list string) []Program {
	var out []Program
	for _, name := range split(list) {
		out = append(out, Program(name))
	}
	return out
}

func (v Variable) readBy(p Program) bool     { return slices.Contains(v.Programs, p) }
func (v Variable) requiredBy(p Program) bool { return slices.Contains(v.Required, p) }

// Allowed says in words what the variable may be.
func (v Variable) Allowed() string {
	switch {
	case v.kind == reflect.TypeFor[SecretList]() && v.check == "":
		return "at least one secret, separated by commas or line ends"
	case v.kind.Kind() == reflect.Bool:
		return "true or false"
	case v.kind.Kind() == reflect.Int || v.kind.Kind() == reflect.Int64:
		return v.allowedNumber()
	case len(v.allowed) > 0:
		return "one of " + strings.Join(v.allowed, ", ")
	case len(v.schemes) > 0 && v.list:
		return "URLs that begin with " + strings.Join(suffixed(v.schemes, "://"), ", ") + ", separated by commas"
	case len(v.schemes) > 0:
		return "a URL that begins with " + strings.Join(suffixed(v.schemes, "://"), " or ")
	case v.Secret && v.check == "":
		return "one line of text"
	case v.check != "":
		return checkWords[v.check]
	default:
		return "text"
	}
}

func (v Variable) allowedNumber() string {
	text := "a whole number"
	if v.Unit != "" {
		text += " of " + v.Unit
	}
	if v.max == "" {
		return text + ", at least " + v.min
	}
	return text + " from " + v.min + " to " + v.max
}

func (v Variable) bounds() (low, high int64) {
	low, _ = strconv.ParseInt(v.min, 10, 64)
	high, err := strconv.ParseInt(v.max, 10, 64)
	if err != nil {
		high = 1<<63 - 1
	}
	return low, high
}

func suffixed(words []string, suffix string) []string {
	out := make([]string, len(words))
	for i, word := range words {
		out[i] = word + suffix
	}
	return out
}
