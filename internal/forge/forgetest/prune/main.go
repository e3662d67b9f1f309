// Command prune cuts GitHub's OpenAPI description down to the operations that the local forge answers.
//
// It keeps each kept operation whole (parameters, bodies, schemas and whatever they refer to) and drops only
// what no validation reads: prose, examples, tags and vendor extensions. The same input gives the same bytes.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// source is the file inside the npm package @octokit/openapi.
const source = "package/generated/api.github.com.json"

// operations lists what the local forge answers, by path and method.
func operations() map[string][]string {
	return map[string][]string{
		"/repos/{owner}/{repo}":                                                      {"get"},
		"/repos/{owner}/{repo}/branches/{branch}":                                    {"get"},
		"/repos/{owner}/{repo}/pulls":                                                {"get", "post"},
		"/repos/{owner}/{repo}/actions/runs/{run_id}/jobs":                           {"get"},
		"/repos/{owner}/{repo}/actions/runs/{run_id}/attempts/{attempt_number}/jobs": {"get"},
		"/repos/{owner}/{repo}/actions/jobs/{job_id}/logs":                           {"get"},
		"/repos/{owner}/{repo}/actions/runs/{run_id}/attempts/{attempt_number}/logs": {"get"},
		"/repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs":                 {"get"},
		"/repos/{owner}/{repo}/actions/runs/{run_id}":                                {"get"},
		"/repos/{owner}/{repo}/actions/runs/{run_id}/rerun-failed-jobs":              {"post"},
		"/repos/{owner}/{repo}/hooks/{hook_id}/deliveries":                           {"get"},
		"/repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}/attempts":    {"post"},
		"/orgs/{org}/hooks/{hook_id}/deliveries":                                     {"get"},
		"/orgs/{org}/hooks/{hook_id}/deliveries/{delivery_id}/attempts":              {"post"},
		"/app/hook/deliveries":                                                       {"get"},
		"/app/hook/deliveries/{delivery_id}/attempts":                                {"post"},
	}
}

func main() {
	in := flag.String("package", "", "the npm package as `npm pack` writes it (.tgz)")
	out := flag.String("out", "", "where to write the pruned description")
	flag.Parse()
	if err := run(*in, *out); err != nil {
		fmt.Fprintln(os.Stderr, "prune:", err)
		os.Exit(1)
	}
}

func run(in, out string) error {
	raw, err := extract(in)
	if err != nil {
		return fmt.Errorf("read %s: %w", in, err)
	}
	var doc map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return fmt.Errorf("parse %s: %w", source, err)
	}
	pruned, err := prune(doc, operations())
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(pruned, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(text, '\n'), 0o644)
}

func extract(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	zr, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("no %s inside", source)
		}
		if err != nil {
			return nil, err
		}
		if h.Name == source {
			return io.ReadAll(tr)
		}
	}
}

func prune(doc map[string]any, ops map[string][]string) (map[string]any, error) {
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
