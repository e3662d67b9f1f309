package redeliver

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const (
	// gitlabPage is small because each event is listed with its whole body.
	gitlabPage = "10"
	// gitlabPerMinute is below the five a minute that GitLab allows for each hook and user
	// (docs.gitlab.com/api/project_webhooks, "Resend a project webhook event").
	gitlabPerMinute = 4
)

// gitlabHook is a webhook of a project or a group. GitLab 17.4 lists the events of seven days and sends one again under
// the same Idempotency-Key.
type gitlabHook struct {
	api  *api
	name string
	path string // down to /events, escaped
}

// GitLab returns the hooks at these addresses.
func GitLab(baseURL, token string, addresses []config.HookAddress, now func() time.Time) ([]Hook, error) {
	byToken := newAPI(baseURL, "", "application/json", fixed(token), now)
	hooks := make([]Hook, 0, len(addresses))
	for _, at := range addresses {
		path, err := httpapi.Path(at.Kind+"s", at.Path, "hooks", strconv.FormatInt(at.ID, 10), "events")
		if err != nil {
			return nil, fmt.Errorf("hook %s: %w", at, err)
		}
		hooks = append(hooks, &gitlabHook{api: byToken, name: at.String(), path: path})
	}
	return hooks, nil
}

func (h *gitlabHook) Provider() string { return "gitlab" }
func (h *gitlabHook) Name() string     { return h.name }
func (h *gitlabHook) PerMinute() int   { return gitlabPerMinute }

type gitlabEvent struct {
	ID             int64             `json:"id"`
	Trigger        string            `json:"trigger"`
	RequestHeaders map[string]string `json:"request_headers"`
	ResponseStatus string            `json:"response_status"`
}

// delivery is the id that ingest knows the request by.
func (e gitlabEvent) delivery() string {
	var key, id string
	signed := false
	for name, value := range e.RequestHeaders {
		switch strings.ToLower(name) {
		case "idempotency-key":
			key = value
		case "webhook-id":
			id = value
		case "webhook-signature":
			signed = true
		}
	}
	if signed && id != "" {
		return id
	}
	return key
}

// Attempts reads all that is kept: GitLab does not say when an attempt was.
func (h *gitlabHook) Attempts(ctx context.Context, _ time.Time, f func(Attempt)) (bool, error) {
	query := url.Values{"per_page": {gitlabPage}}
	for page := 1; page <= maxPages; page++ {
		query.Set("page", strconv.Itoa(page))
		var events []gitlabEvent
		header, err := h.api.call(ctx, http.MethodGet, h.path, query, &events)
		if err != nil {
			return false, err
		}
		for _, e := range events {
			f(Attempt{
				ID: strconv.FormatInt(e.ID, 10), Delivery: e.delivery(), Event: e.Trigger,
				OK: len(e.ResponseStatus) == 3 && e.ResponseStatus[0] == '2', Status: clip(e.ResponseStatus),
			})
		}
		if !httpapi.HasNext(header) {
			return true, nil
		}
	}
	return false, nil
}

// Ask is answered when the event has been sent, with what the receiver answered.
func (h *gitlabHook) Ask(ctx context.Context, a Attempt) error {
	_, err := h.api.call(ctx, http.MethodPost, h.path+"/"+url.PathEscape(a.ID)+"/resend", nil, nil)
	return err
}
