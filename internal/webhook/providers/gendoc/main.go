// Command gendoc writes docs/providers.md: the table of providers, the schema that all of them are brought into, and what
// one failure of each becomes.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/providers"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/senders"
)

func main() {
	if err := write(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gendoc:", err)
		os.Exit(1)
	}
}

const head = `<!-- Made by: go generate ./internal/webhook/providers -->

# Which CI systems can report failures, and what becomes of a delivery?

Each provider has an address, ` + "`/webhooks/NAME`" + `, and is on as soon as it has a key. Several keys may be listed, separated by
commas: each is accepted, so that one can be replaced without a gap. What is signed is checked over the raw bytes before
anything else is believed; a request that fails leaves no message and no row.

`

const answers = `
## What the sender is told

JSON with ` + "`status`" + `, the delivery's id where there is one, and a ` + "`reason`" + ` where there is something to say.

| code | status | what it means |
|---|---|---|
| 202 | ` + "`accepted`" + ` | the stream has it, on disk: it will end in exactly one record |
| 202 | ` + "`ignored`" + ` | kept as well, but nothing is ever done about events of this kind |
| 200 | ` + "`duplicate_ignored`" + ` | this delivery was accepted before |
| 400 | ` + "`refused`" + ` | signed, but no delivery: a header is missing, or the body is not one JSON object in UTF-8 |
| 401 | ` + "`refused`" + ` | not signed, signed with another key, or signed at a time more than five minutes from ours |
| 403 | ` + "`refused`" + ` | from an address outside of ` + "`WEBHOOK_ALLOWED_ADDRESSES`" + ` |
| 404 | ` + "`refused`" + ` | the provider is off; the reason names the variable that turns it on |
| 408, 413 | ` + "`refused`" + ` | the body came too slowly, or is larger than ` + "`WEBHOOK_MAX_BODY_BYTES`" + ` |
| 503 | ` + "`unavailable`" + ` or ` + "`refused`" + ` | not kept: NATS is away, the stream is full, or no memory is left; ` + "`Retry-After`" + ` says when to come again |

Whether an accepted delivery is acted on is decided after the answer, where the records are. Ask for it:

    sre-agent deliveries show NAME DELIVERY-ID

## When several deliveries are one

- The provider's delivery id, where it has one, is known for ever; so is the hash of each signed body, so that a captured
  body under a fresh id is a duplicate. Providers without an id have the hash of the body for one.
- All events of one pipeline on one commit make one run, whatever their order: the run key is provider, repository, commit
  and workflow, and further names (` + "`claims`, `same_as`" + `) join events that do not know the workflow.
- A whole pipeline's success that ended later than the failure ends a run that has not been started, as ` + "`superseded(green)`" + `;
  a failure that comes in after its later success is recorded as ended at once.
- Failures on branches below ` + "`sre-agent/`" + ` are ` + "`ignored(own_branch)`" + `, failures of commits by ` + "`AGENT_EMAIL`" + ` ` + "`ignored(own_author)`" + `.

## Keys for one repository

` + "`WEBHOOK_SCOPED_SECRETS=github/acme/api=SECRET,gitlab/acme=SECRET`" + ` (and ` + "`WEBHOOK_SCOPED_TOKENS`" + `) hold keys for one repository, or
for all of an owner. Such a key never works for another repository, and what it signs is kept apart from other
repositories' records even if the body names another's id.

## Which logs can be read

Failures of every provider are recorded, and are worked on where the runner can read the failed jobs' logs and fetch the
code: [which ones, and what to set](logs.md). The others end as ` + "`declined`" + ` with a reason that says what is missing, and
the address of the run.

## The schema

Every failure and every success is brought into this one form. A field that the provider does not know is left out.

| field | kind | of what |
|---|---|---|
`

var meanings = map[string]string{
	"provider": "the name in the table above", "repository.id": "the provider's own, immutable id", "repository.owner": "owner, or groups in groups separated by slashes",
	"repository.name": "name", "repository.clone_url": "http or https, without credentials", "repository.web_url": "the repository's page",
	"repository.default_branch": "the default branch; asked of the forge when it is missing", "head_repository": "owner/name that the commit lives in: another one for a fork",
	"branch": "the branch that failed", "base_branch": "the branch whose settings apply", "commit": "the failing commit, in full", "workflow": "the pipeline's stable identity",
	"workflow_name": "what people call it", "run_id": "the provider's run, where the logs are", "run_attempt": "which execution of it", "run_url": "its page",
	"conclusion": "the provider's own word for how it ended", "actor": "who caused it", "commit_author": "e-mail address of the commit's author",
	"finished_at": "when it ended, by the provider's clock", "claims": "further names of the pipeline on this commit", "same_as": "names by which it may have been told of before",
}

func write(w io.Writer) error {
	out := &strings.Builder{}
	out.WriteString(head + "| provider | address | signed by | key | guide |\n|---|---|---|---|---|\n")
	for _, p := range providers.Table() {
		fmt.Fprintf(out, "| %s | `/webhooks/%s` | %s | %s | [guide](providers/%s.md) |\n", p.Name, p.Name, "`"+strings.Join(p.Credentials, "` or `")+"`", keys(p), guide(p.Name))
	}
	out.WriteString(answers)
	if err := schema(out, reflect.TypeFor[ci.Failure](), ""); err != nil {
		return err
	}
	out.WriteString("\n## What a failure of each provider becomes\n")
	for i, s := range senders.Table() {
		if err := example(out, providers.Table()[i], s); err != nil {
			return fmt.Errorf("%s: %w", s.Provider, err)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func keys(p webhook.Provider) string {
	prefix := config.WebhookPrefix(p.Name)
	var names []string
	if p.Signs {
		names = append(names, "`"+prefix+"_WEBHOOK_SECRETS`")
	}
	if p.Sends {
		names = append(names, "`"+prefix+"_WEBHOOK_TOKENS` (TLS)")
	}
	return strings.Join(names, " or ")
}

// guide is the page of a provider; Forgejo's is Gitea's.
func guide(provider string) string {
	if provider == "forgejo" {
		return "gitea"
	}
	return provider
}

func schema(out io.Writer, t reflect.Type, prefix string) error {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Type == reflect.TypeFor[ci.Repository]() {
			if err := schema(out, f.Type, name+"."); err != nil {
				return err
			}
			continue
		}
		meaning, ok := meanings[prefix+name]
		if !ok {
			return fmt.Errorf("field %s%s has no words here", prefix, name)
		}
		kind := map[reflect.Kind]string{reflect.String: "text", reflect.Int: "number", reflect.Slice: "texts", reflect.Struct: "time"}[f.Type.Kind()]
		if _, err := fmt.Fprintf(out, "| `%s%s` | %s | %s |\n", prefix, name, kind, meaning); err != nil {
			return err
		}
	}
	return nil
}

func example(out io.Writer, p webhook.Provider, s webhooktest.Sender) error {
	r := s.Pipeline("https://agent.example.com/webhooks/"+s.Provider, "key:word", webhooktest.Params{})
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	_, event, err := p.Identify(&webhook.Request{Header: r.Header, Query: r.URL.Query(), Body: body})
	if err != nil {
		return err
	}
	e, err := p.Parse(event, body)
	if err != nil {
		return err
	}
	if e.Kind != webhook.Failure {
		return fmt.Errorf("%s(%s) is no failure", e.Kind, e.Reason)
	}
	text, err := json.MarshalIndent(e.Failure, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\n### %s\n\nThe event `%s`, of which [its guide](providers/%s.md) shows the body:\n\n```json\n%s\n```\n", p.Name, event, guide(p.Name), text)
	return err
}
