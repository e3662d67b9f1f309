package forgetest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// keptFor is how long GitHub.com lists and redelivers deliveries
	// (docs.github.com/webhooks, "Redelivering webhooks").
	keptFor = 72 * time.Hour
	// deliverWithin is how long GitHub waits for an answer to a delivery ("Best practices for using webhooks").
	deliverWithin = 10 * time.Second
)

// Hook is a webhook: of a repository when Owner and Name are set, of an organisation when Owner alone is, else the App's.
type Hook struct {
	Owner, Name string
	// URL and Secret are where its deliveries go, and what they are signed with.
	URL, Secret string
	// Tokens may list and redeliver; a token that is not among them is told that the hook is not there.
	Tokens []string
	// AppID and AppKey check the JWT of an App.
	AppID  string
	AppKey *rsa.PublicKey
}

// hook is a Hook with its deliveries.
type hook struct {
	Hook
	id       int64
	attempts []attempt
	bodies   map[string][]byte // by guid
}

type attempt struct {
	ID          int64     `json:"id"`
	GUID        string    `json:"guid"`
	DeliveredAt time.Time `json:"delivered_at"`
	Redelivery  bool      `json:"redelivery"`
	Duration    float64   `json:"duration"`
	Status      string    `json:"status"`
	StatusCode  int       `json:"status_code"`
	Event       string    `json:"event"`
	Action      *string   `json:"action"`
}

// AddHook registers a webhook and returns its id.
func (s *Server) AddHook(h Hook) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextID++
	s.hooks = append(s.hooks, &hook{Hook: h, id: s.nextID, bodies: map[string][]byte{}})
	return s.nextID
}

// Deliver sends a delivery once and lists the attempt, as GitHub does. It returns the status that is listed: the
// receiver's, or 502 when there was no answer.
func (s *Server) Deliver(ctx context.Context, hookID int64, guid, event string, body []byte) int {
	s.mu.Lock()
	i := slices.IndexFunc(s.hooks, func(h *hook) bool { return h.id == hookID })
	if i < 0 {
		s.mu.Unlock()
		return 0
	}
	h := s.hooks[i]
	h.bodies[guid] = body
	s.mu.Unlock()
	return s.deliver(ctx, h, guid, event, body, false)
}

// Attempts says how often a delivery was attempted.
func (s *Server) Attempts(hookID int64, guid string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, h := range s.hooks {
		for _, a := range h.attempts {
			if h.id == hookID && a.GUID == guid {
				n++
			}
		}
	}
	return n
}

func (s *Server) deliver(ctx context.Context, h *hook, guid, event string, body []byte, again bool) int {
	code, status := post(ctx, h, guid, event, body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextID++
	h.attempts = append(h.attempts, attempt{
		ID: s.nextID, GUID: guid, DeliveredAt: s.opts.Now().UTC(), Redelivery: again, Status: status, StatusCode: code, Event: event,
	})
	return code
}

func post(ctx context.Context, h *hook, guid, event string, body []byte) (int, string) {
	ctx, cancel := context.WithTimeout(ctx, deliverWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return http.StatusBadGateway, "invalid url"
	}
	mac := hmac.New(sha256.New, []byte(h.Secret))
	mac.Write(body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "GitHub-Hookshot/forgetest")
	req.Header.Set("X-GitHub-Event", event)
	req.Header.Set("X-GitHub-Delivery", guid)
	req.Header.Set("X-GitHub-Hook-ID", strconv.FormatInt(h.id, 10))
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return http.StatusBadGateway, "failed to connect to host"
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	_ = resp.Body.Close()
	if resp.StatusCode < 300 {
		return resp.StatusCode, "OK"
	}
	return resp.StatusCode, fmt.Sprintf("Invalid HTTP Response: %d", resp.StatusCode)
}

// aboutHooks says whether an operation is one of those below, and of which kind of hook.
func aboutHooks(op string) (kind string, yes bool) {
	kind, what, _ := strings.Cut(op, "/")
	return kind, what == "list-webhook-deliveries" || what == "redeliver-webhook-delivery"
}

// answerHooks lists deliveries or takes a request for redelivery.
func (s *Server) answerHooks(c *call, r *http.Request, kind string) reply {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	h := s.findHook(c, kind, token)
	if h == nil && kind == "apps" {
		return message(http.StatusUnauthorized, "A JSON web token could not be decoded")
	}
	if h == nil {
		return message(http.StatusNotFound, "Not Found")
	}
	if r.Method == http.MethodGet {
		return s.listAttempts(h, r)
	}
	return s.redeliver(h, c.params["delivery_id"])
}

func (s *Server) findHook(c *call, kind, token string) *hook {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hooks {
		if kind == "apps" {
			if h.AppKey != nil && validJWT(token, h.AppID, h.AppKey, s.opts.Now()) {
				return h
			}
			continue
		}
		owner, name := c.params["owner"], c.params["repo"]
		if kind == "orgs" {
			owner = c.params["org"]
		}
		if h.AppKey == nil && strconv.FormatInt(h.id, 10) == c.params["hook_id"] && strings.EqualFold(h.Owner, owner) &&
			strings.EqualFold(h.Name, name) && slices.Contains(h.Tokens, token) {
			return h
		}
	}
	return nil
}

// validJWT holds a token to GitHub's rules: RS256, the App as issuer, begun, and at most ten minutes ahead
// (docs.github.com/apps, "Generating a JSON Web Token (JWT) for a GitHub App").
func validJWT(token, issuer string, key *rsa.PublicKey, now time.Time) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	var head struct{ Alg, Typ string }
	var claims struct {
		Iat, Exp int64
		Iss      string
	}
	for i, into := range []any{&head, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(raw, into) != nil {
			return false
		}
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	at := now.Unix()
	return err == nil && head.Alg == "RS256" && claims.Iss == issuer && claims.Iat <= at && claims.Exp > at && claims.Exp <= at+600 &&
		rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
}

// listAttempts pages by cursor, the newest first.
func (s *Server) listAttempts(h *hook, r *http.Request) reply {
	limit := 100
	if s.opts.MaxPerPage > 0 {
		limit = s.opts.MaxPerPage
	}
	q := r.URL.Query()
	size := min(max(number(q.Get("per_page"), 30), 1), limit)
	cursor, _ := strings.CutPrefix(q.Get("cursor"), "v1_")
	before, err := strconv.ParseInt(cursor, 10, 64)
	if q.Get("cursor") != "" && err != nil {
		return message(http.StatusUnprocessableEntity, "Invalid cursor")
	}
	since := s.opts.Now().Add(-keptFor)
	out := []attempt{}
	s.mu.Lock()
	defer s.mu.Unlock()
	header := http.Header{}
	for _, a := range slices.Backward(h.attempts) {
		if a.DeliveredAt.Before(since) || (before != 0 && a.ID > before) {
			continue
		}
		if len(out) == size {
			q.Set("cursor", "v1_"+strconv.FormatInt(a.ID, 10))
			header.Set("Link", fmt.Sprintf(`<%s%s?%s>; rel="next"`, s.url, r.URL.EscapedPath(), q.Encode()))
			break
		}
		out = append(out, a)
	}
	return reply{status: http.StatusOK, header: header, body: out}
}

// redeliver answers at once and delivers afterwards: the attempt is listed when it has ended.
func (s *Server) redeliver(h *hook, id string) reply {
	since := s.opts.Now().Add(-keptFor)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(h.attempts, func(a attempt) bool {
		return strconv.FormatInt(a.ID, 10) == id && !a.DeliveredAt.Before(since)
	})
	if i < 0 {
		return message(http.StatusNotFound, "Not Found")
	}
	a, body := h.attempts[i], h.bodies[h.attempts[i].GUID]
	s.active.Go(func() { s.deliver(context.Background(), h, a.GUID, a.Event, body, true) })
	return reply{status: http.StatusAccepted, body: map[string]any{}}
}
