// Package cut makes a large OpenAPI description small.
//
// It keeps each wanted operation whole (parameters, bodies, schemas and whatever they refer to) and drops only what no
// validation reads: prose, examples, tags and vendor extensions. The same input gives the same output.
package cut

import (
	"fmt"
	"strings"
)

// Description keeps of a description only the operations of ops, by path and method, with whatever they refer to.
func Description(doc map[string]any, ops map[string][]string) (map[string]any, error) {
	paths := map[string]any{}
	for path, methods := range ops {
		item := map[string]any{}
		for _, m := range methods {
			op := lookup(doc, "paths", path, m)
			if op == nil {
				return nil, fmt.Errorf("the description has no %s %s", m, path)
			}
			item[m] = strip(op)
		}
		paths[path] = item
	}
	out := map[string]any{
		"openapi": doc["openapi"],
		"info":    strip(doc["info"]),
		"paths":   paths,
	}
	components := map[string]any{}
	out["components"] = components
	return out, collect(doc, paths, components)
}

// collect copies into components everything that node refers to, and what that refers to.
func collect(doc map[string]any, node any, components map[string]any) error {
	switch n := node.(type) {
	case map[string]any:
		if ref, ok := n["$ref"].(string); ok {
			return resolve(doc, ref, components)
		}
		for _, v := range n {
			if err := collect(doc, v, components); err != nil {
				return err
			}
		}
	case []any:
		for _, v := range n {
			if err := collect(doc, v, components); err != nil {
				return err
			}
		}
	}
	return nil
}

func resolve(doc map[string]any, ref string, components map[string]any) error {
	rest, ok := strings.CutPrefix(ref, "#/components/")
	kind, name, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		return fmt.Errorf("can't follow the reference %q", ref)
	}
	group, _ := components[kind].(map[string]any)
	if group == nil {
		group = map[string]any{}
		components[kind] = group
	}
	if _, done := group[name]; done {
		return nil
	}
	target := lookup(doc, "components", kind, name)
	if target == nil {
		return fmt.Errorf("the reference %q leads nowhere", ref)
	}
	group[name] = strip(target)
	if kind == "responses" {
		group[name] = stripResponse(target)
	}
	return collect(doc, group[name], components)
}

func lookup(doc map[string]any, keys ...string) any {
	var at any = doc
	for _, k := range keys {
		m, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = m[k]
	}
	return at
}

// strip drops what no validation reads. Inside "properties" the keys are names of fields, so all stay.
func strip(node any) any {
	switch n := node.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, v := range n {
			switch {
			case k == "properties":
				out[k] = stripEach(v, strip)
			case k == "responses":
				out[k] = stripEach(v, stripResponse)
			case !prose(k):
				out[k] = strip(v)
			}
		}
		return out
	case []any:
		out := make([]any, len(n))
		for i, v := range n {
			out[i] = strip(v)
		}
		return out
	default:
		return node
	}
}

// stripResponse keeps an empty description: the standard wants one on every response.
func stripResponse(node any) any {
	out := strip(node)
	if r, ok := out.(map[string]any); ok && r["$ref"] == nil {
		r["description"] = ""
	}
	return out
}

func stripEach(node any, f func(any) any) any {
	m, ok := node.(map[string]any)
	if !ok {
		return strip(node)
	}
	out := map[string]any{}
	for k, v := range m {
		out[k] = f(v)
	}
	return out
}

func prose(key string) bool {
	switch key {
	case "description", "summary", "example", "examples", "externalDocs", "tags", "deprecated", "contact", "termsOfService":
		return true
	}
	return strings.HasPrefix(key, "x-")
}
