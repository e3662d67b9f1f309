package redeliver

import (
	"context"
	"crypto/rsa"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/appjwt"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const (
	githubVersion = "2022-11-28"
	githubAccept  = "application/vnd.github+json"
	githubPage    = "100"
	// githubPerMinute is half of the 80 requests a minute that may create content
	// (docs.github.com, "Rate limits for the REST API", secondary limits).
	githubPerMinute = 40
)

// githubHook is a webhook of a repository, an organisation or an App: the same two calls below three addresses
// (docs.github.com/rest: "Repository webhooks", "Organization webhooks", "GitHub App webhooks").
type githubHook struct {
	api  *api
	name string
	path string // down to /deliveries, escaped
}

// GitHub returns the hooks at these addresses. Repositories and organisations are asked about with token, the App with
// a JWT that its key signs.
func GitHub(baseURL, token, appID string, appKey *rsa.PrivateKey, addresses []config.HookAddress, now func() time.Time) ([]Hook, error) {
	byToken := newAPI(baseURL, githubVersion, githubAccept, fixed(token), now)
	byApp := newAPI(baseURL, githubVersion, githubAccept, func() (string, error) { return appjwt.Sign(appID, appKey, now()) }, now)
	hooks := make([]Hook, 0, len(addresses))
	for _, at := range addresses {
		h := &githubHook{api: byToken, name: at.String()}
		segments := []string{"app", "hook", "deliveries"}
		if at.Kind == "app" {
			h.api = byApp
		} else {
			segments = append([]string{at.Kind + "s"}, strings.Split(at.Path, "/")...)
			segments = append(segments, "hooks", strconv.FormatInt(at.ID, 10), "deliveries")
		}
		var err error
		if h.path, err = httpapi.Path(segments...); err != nil {
			return nil, fmt.Errorf("hook %s: %w", at, err)
		}
		hooks = append(hooks, h)
	}
	return hooks, nil
}

func (h *githubHook) Provider() string { return "github" }
func (h *githubHook) Name() string     { return h.name }
func (h *githubHook) PerMinute() int   { return githubPerMinute }

// githubAttempt is GitHub's "hook-delivery-item".
type githubAttempt struct {
	ID          int64     `json:"id"`
	GUID        string    `json:"guid"`
	DeliveredAt time.Time `json:"delivered_at"`
	Status      string    `json:"status"`
	StatusCode  int       `json:"status_code"`
	Event       string    `json:"event"`
}

// Attempts walks the pages by cursor until one that is too old.
func (h *githubHook) Attempts(ctx context.Context, since time.Time, f func(Attempt)) (bool, error) {
	query := url.Values{"per_page": {githubPage}}
	for range maxPages {
		var page []githubAttempt
		header, err := h.api.call(ctx, http.MethodGet, h.path, query, &page)
		if err != nil {
			return false, err
		}
		for _, a := range page {
			if a.DeliveredAt.Before(since) {
				return true, nil
			}
			f(Attempt{
				ID: strconv.FormatInt(a.ID, 10), Delivery: a.GUID, Event: a.Event, At: a.DeliveredAt,
				OK: a.StatusCode >= 200 && a.StatusCode < 300, Status: status(a.StatusCode, a.Status),
			})
		}
		next := nextCursor(header)
		if next == "" || next == query.Get("cursor") {
			return true, nil
		}
		query.Set("cursor", next)
	}
	return false, nil
}

func status(code int, text string) string {
	return strings.TrimSpace(strconv.Itoa(code) + " " + clip(text))
}

// clip bounds a provider's words.
func clip(text string) string {
	if len(text) > 100 {
		text = strings.ToValidUTF8(text[:100], "")
	}
	return text
}

// Ask is answered 202 before the delivery is sent.
func (h *githubHook) Ask(ctx context.Context, a Attempt) error {
	_, err := h.api.call(ctx, http.MethodPost, h.path+"/"+url.PathEscape(a.ID)+"/attempts", nil, nil)
	return err
}

var nextLink = regexp.MustCompile(`<([^>]*)>;\s*rel="next"`)

// nextCursor takes from the Link header the cursor alone: the address is ours to make.
func nextCursor(h http.Header) string {
	m := nextLink.FindStringSubmatch(strings.Join(h.Values("Link"), ","))
	if m == nil {
		return ""
	}
	u, err := url.Parse(m[1])
	if err != nil {
		return ""
	}
	return u.Query().Get("cursor")
}
