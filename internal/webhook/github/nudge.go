package github

import (
	"slices"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// movedPayload is what is read of the events about comments, pull requests and pushes.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#issue_comment, #pull_request, #push
type movedPayload struct {
	Action string `json:"action"`
	Issue  struct {
		Number      int64     `json:"number"`
		PullRequest *struct{} `json:"pull_request"`
	} `json:"issue"`
	PullRequest struct {
		Number int64 `json:"number"`
		Head   struct {
			Ref string `json:"ref"`
		} `json:"head"`
	} `json:"pull_request"`
	Ref        string `json:"ref"`
	Repository struct {
		Name  string `json:"name"`
		Owner struct {
			Login string `json:"login"`
			Name  string `json:"name"`
		} `json:"owner"`
	} `json:"repository"`
}

// pullActions are the actions on a pull request that mean something to who watches it.
var pullActions = []string{"closed", "reopened", "labeled", "unlabeled", "synchronize"}

func parseMoved(event string, body []byte) (webhook.Event, error) {
	return webhook.ReadNudge(body, func(p movedPayload) webhook.Moving {
		m := webhook.Moving{Owner: payload.FirstOf(p.Repository.Owner.Login, p.Repository.Owner.Name), Name: p.Repository.Name}
		switch {
		case event == "issue_comment" && p.Action == "created" && p.Issue.PullRequest != nil:
			m.PullRequest = p.Issue.Number
		case event == "pull_request" && slices.Contains(pullActions, p.Action):
			m.PullRequest, m.Head = p.PullRequest.Number, p.PullRequest.Head.Ref
		case event == "push":
			m.Ref = p.Ref
		}
		return m
	})
}
