package gitlab

import (
	"github.com/sre-agent/sre-agent/internal/webhook"
)

// movedPayload is what is read of the events about comments, merge requests and pushes.
// https://docs.gitlab.com/user/project/integrations/webhook_events/#comment-events, #merge-request-events, #push-events
type movedPayload struct {
	Attributes struct {
		NoteableType string `json:"noteable_type"` //nolint:misspell // GitLab's word
		IID          int64  `json:"iid"`
		SourceBranch string `json:"source_branch"`
	} `json:"object_attributes"`
	MergeRequest struct {
		IID          int64  `json:"iid"`
		SourceBranch string `json:"source_branch"`
	} `json:"merge_request"`
	Ref     string `json:"ref"`
	Project struct {
		PathWithNamespace string `json:"path_with_namespace"`
	} `json:"project"`
}

func parseMoved(event string, body []byte) (webhook.Event, error) {
	return webhook.ReadNudge(body, func(p movedPayload) webhook.Moving {
		owner, name := split(p.Project.PathWithNamespace)
		m := webhook.Moving{Owner: owner, Name: name}
		switch {
		case event == "note" && p.Attributes.NoteableType == "MergeRequest":
			m.PullRequest, m.Head = p.MergeRequest.IID, p.MergeRequest.SourceBranch
		case event == "merge_request":
			m.PullRequest, m.Head = p.Attributes.IID, p.Attributes.SourceBranch
		case event == "push":
			m.Ref = p.Ref
		}
		return m
	})
}
