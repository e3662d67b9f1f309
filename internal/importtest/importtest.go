// Package importtest checks which packages may link which, through any number of steps. Its test holds the project's
// table, so that what a program must not be able to do is not in it at all.
//
// Patterns are import paths; "./x" is a package of the module, "p/..." is p and all below it, and "p/*" is all
// directly below p.
package importtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Graph maps each package to those that it imports itself, not counting its tests.
type Graph map[string][]string

// Rule says what the packages that match From must not link.
type Rule struct {
	From []string
	// Never are packages that may not be reached.
	Never []string
	// Except are packages of Never that may. The packages of From may always reach what is below themselves.
	Except []string
	// Why is told with each violation.
	Why string
}

// Check returns one line for each way in which g breaks the rules, and for each pattern of the module's own packages
// that names nothing: such a row would hold whatever anybody did.
func Check(g Graph, module string, rules []Rule) []string {
	var found []string
	for _, r := range rules {
		for _, pattern := range slices.Concat(r.From, r.Never, r.Except) {
			if strings.HasPrefix(pattern, "./") && len(g.matching(pattern, module)) == 0 {
				found = append(found, fmt.Sprintf("%s: no such package; a row of the table names it", pattern))
			}
		}
		for _, pattern := range r.From {
			for _, from := range g.matching(pattern, module) {
				found = append(found, g.violations(from, module, r)...)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func (g Graph) violations(from, module string, r Rule) []string {
	var found []string
	paths := g.reach(from)
	for _, to := range slices.Sorted(maps.Keys(paths)) {
		if to == from || strings.HasPrefix(to, from+"/") {
			continue
		}
		if matchAny(r.Never, to, module) && !matchAny(r.Except, to, module) {
			found = append(found, fmt.Sprintf("%s (%s)", describe(paths, from, to, module), r.Why))
		}
	}
	return found
}

// reach finds all that from links: each package with the one through which it is reached on a shortest way.
func (g Graph) reach(from string) map[string]string {
	via := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, to := range g[queue[0]] {
			if _, seen := via[to]; !seen {
				via[to] = queue[0]
				queue = append(queue, to)
			}
		}
	}
	return via
}

func describe(via map[string]string, from, to, module string) string {
	steps := []string{}
	for at := to; at != from; at = via[at] {
		steps = append(steps, short(at, module))
	}
	steps = append(steps, short(from, module))
	slices.Reverse(steps)
	return strings.Join(steps, " -> ")
}

func (g Graph) matching(pattern, module string) []string {
	var found []string
	for pkg := range g {
		if match(pattern, pkg, module) {
			found = append(found, pkg)
		}
	}
	return found
}

func matchAny(patterns []string, pkg, module string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, pkg, module) })
}

func match(pattern, pkg, module string) bool {
	if rest, own := strings.CutPrefix(pattern, "./"); own {
		pattern = module + "/" + rest
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == base || strings.HasPrefix(pkg, base+"/")
	}
	if base, ok := strings.CutSuffix(pattern, "/*"); ok {
		rest, below := strings.CutPrefix(pkg, base+"/")
		return below && !strings.Contains(rest, "/")
	}
	return pkg == pattern
}

func short(pkg, module string) string { return strings.TrimPrefix(pkg, module+"/") }
