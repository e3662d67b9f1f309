// Command prune cuts the description of Gitea's or Forgejo's API down to the operations that the double answers, and
// brings it from Swagger 2 to OpenAPI 3, which the double reads.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest/prune/cut"
)

// operations lists what the double answers, by path and method. The diff of a pull request is missing: its path, with
// two parameters in one segment, is not one that a router can tell from its neighbour.
func operations() map[string][]string {
	return map[string][]string{
		"/repos/{owner}/{repo}":                                         {"get"},
		"/repos/{owner}/{repo}/branches/{branch}":                       {"get"},
		"/repos/{owner}/{repo}/pulls":                                   {"get", "post"},
		"/repos/{owner}/{repo}/pulls/{index}":                           {"get", "patch"},
		"/repos/{owner}/{repo}/pulls/{index}/files":                     {"get"},
		"/repos/{owner}/{repo}/issues/{index}/comments":                 {"get", "post"},
		"/repos/{owner}/{repo}/issues/comments/{id}":                    {"patch"},
		"/repos/{owner}/{repo}/issues/{index}/labels":                   {"post"},
		"/repos/{owner}/{repo}/labels":                                  {"post"},
		"/repos/{owner}/{repo}/collaborators/{collaborator}/permission": {"get"},
		"/repos/{owner}/{repo}/commits/{ref}/status":                    {"get"},
	}
}

func main() {
	in := flag.String("swagger", "", "the description as the server's repository has it")
	out := flag.String("out", "", "where to write the pruned description")
	flag.Parse()
	if err := run(*in, *out); err != nil {
		fmt.Fprintln(os.Stderr, "prune:", err)
		os.Exit(1)
	}
}

// unfilled are the places of the template that the server fills when it starts.
var unfilled = regexp.MustCompile(`\{\{[^}]*\}\}`)

func run(in, out string) error {
	raw, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	var two openapi2.T
	if err := json.Unmarshal(unfilled.ReplaceAll(raw, nil), &two); err != nil {
		return fmt.Errorf("parse %s: %w", in, err)
	}
	three, err := openapi2conv.ToV3(&two)
	if err != nil {
		return fmt.Errorf("convert %s: %w", in, err)
	}
	raw, err = json.Marshal(three)
	if err != nil {
		return err
	}
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		return err
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
