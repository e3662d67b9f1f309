package bitbucket

import (
	"strings"

	"github.com/sre-agent/sre-agent/internal/webhook"
)

// movedPayload is what is read of the events about pull requests, their comments, and pushes. A push may move several
// branches; the first one's name stands for it.
// https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/
type movedPayload struct {
	PullRequest struct {
		ID     int64 `json:"id"`
		Source struct {
			Branch struct {
				Name string `json:"name"`
			} `json:"branch"`
		} `json:"source"`
	} `json:"pullrequest"`
	Push struct {
		Changes []struct {
			New struct {
				Type string `json:"type"`
				Name string `json:"name"`
			} `json:"new"`
		} `json:"changes"`
	} `json:"push"`
	Repository struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
}

// moves says whether an event may mean something to who watches a pull request.
func moves(name string) bool {
	switch name {
	case "pullrequest:comment_created", "pullrequest:updated", "pullrequest:fulfilled", "pullrequest:rejected", "repo:push":
		return true
	}
	return false
}

func parseMoved(name string, body []byte) (webhook.Event, error) {
	return webhook.ReadNudge(body, func(p movedPayload) webhook.Moving {
		owner, repo, _ := strings.Cut(p.Repository.FullName, "/")
		m := webhook.Moving{Owner: owner, Name: repo, PullRequest: p.PullRequest.ID, Head: p.PullRequest.Source.Branch.Name}
		if name == "repo:push" && len(p.Push.Changes) > 0 && p.Push.Changes[0].New.Type == "branch" {
			m.Ref = "refs/heads/" + p.Push.Changes[0].New.Name
		}
		return m
	})
}
