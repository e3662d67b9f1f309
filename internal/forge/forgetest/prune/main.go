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

	"github.com/sre-agent/sre-agent/internal/forge/forgetest/prune/cut"
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
		"/repos/{owner}/{repo}/pulls/{pull_number}":                                  {"get", "patch"},
		"/repos/{owner}/{repo}/pulls/{pull_number}/files":                            {"get"},
		"/repos/{owner}/{repo}/issues/{issue_number}/labels":                         {"post"},
		"/repos/{owner}/{repo}/issues/{issue_number}/comments":                       {"get", "post"},
		"/repos/{owner}/{repo}/issues/comments/{comment_id}":                         {"patch"},
		"/repos/{owner}/{repo}/collaborators/{username}/permission":                  {"get"},
		"/repos/{owner}/{repo}/commits/{ref}/check-runs":                             {"get"},
		"/repos/{owner}/{repo}/commits/{ref}/status":                                 {"get"},
		"/repos/{owner}/{repo}/installation":                                         {"get"},
		"/app/installations/{installation_id}/access_tokens":                         {"post"},
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
	pruned, err := cut.Description(doc, operations())
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
