package gitea

import (
	"github.com/sre-agent/sre-agent/internal/webhook"
)

// movedPayload is what is read of the events about comments, pull requests and pushes. A comment on a pull request is
// an issue_comment, and a label's event a pull_request; the longer names are those of X-Gitea-Event-Type.
// https://github.com/go-gitea/gitea/blob/main/modules/webhook/type.go
type movedPayload struct {
	IsPull bool `json:"is_pull"`
	Issue  struct {
		Number int64 `json:"number"`
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
		Owner user   `json:"owner"`
	} `json:"repository"`
}

func moves(event string) bool {
	switch event {
	case "issue_comment", "pull_request_comment", "pull_request", "pull_request_label", "push":
		return true
	}
	return false
}

func parseMoved(event string, body []byte) (webhook.Event, error) {
	return webhook.ReadNudge(body, func(p movedPayload) webhook.Moving {
		m := webhook.Moving{Owner: p.Repository.Owner.Login, Name: p.Repository.Name}
		switch {
		case event == "push":
			m.Ref = p.Ref
		case p.PullRequest.Number != 0:
			m.PullRequest, m.Head = p.PullRequest.Number, p.PullRequest.Head.Ref
		case p.IsPull:
			m.PullRequest = p.Issue.Number
		}
		return m
	})
}
