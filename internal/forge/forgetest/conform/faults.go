package conform

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
)

// Kind is a way in which a forge refuses or fails, whatever it is asked.
type Kind string

// The kinds.
const (
	Unauthorized   Kind = "401"
	Forbidden      Kind = "403"
	NotFound       Kind = "404"
	Conflict       Kind = "409"
	Rejected       Kind = "422 of another kind"
	TooMany        Kind = "429 without a time"
	TooManyAfter   Kind = "429 with a time"
	Secondary      Kind = "403 of a secondary limit without a time"
	SecondaryAfter Kind = "403 of a secondary limit with a time"
	Internal       Kind = "500"
	BadGateway     Kind = "502"
	Unavailable    Kind = "503 with a time"
	SignInPage     Kind = "200 with a page that is not JSON"
)

// wait is what a fault with a time asks for; without one, a limit stands for a minute.
const wait = 90 * time.Second

// faultCases are all kinds. A write is told from a read by a refusal of what was asked.
func faultCases() []faultCase {
	return []faultCase{
		{Unauthorized, Want{Reason: "unauthorized"}, Want{Reason: "unauthorized"}},
		{Forbidden, Want{Reason: "forbidden"}, Want{Reason: "forbidden"}},
		{NotFound, Want{Reason: "repository_not_found"}, Want{Reason: "repository_not_found"}},
		{Conflict, Want{Reason: "rejected"}, Want{Reason: "pull_request_rejected"}},
		{Rejected, Want{Reason: "rejected"}, Want{Reason: "pull_request_rejected"}},
		{TooMany, Want{Temporary: true, After: time.Minute}, Want{Temporary: true, After: time.Minute}},
		{TooManyAfter, Want{Temporary: true, After: wait}, Want{Temporary: true, After: wait}},
		{Secondary, Want{Temporary: true, After: time.Minute}, Want{Temporary: true, After: time.Minute}},
		{SecondaryAfter, Want{Temporary: true, After: wait}, Want{Temporary: true, After: wait}},
		{Internal, Want{Temporary: true}, Want{Temporary: true}},
		{BadGateway, Want{Temporary: true}, Want{Temporary: true}},
		{Unavailable, Want{Temporary: true, After: wait}, Want{Temporary: true, After: wait}},
		{SignInPage, Want{Temporary: true}, Want{Temporary: true}},
	}
}

type faultCase struct {
	kind        Kind
	read, write Want
}

// answer is how the forge words a fault, or the plain form. The plain words repeat a token, as a careless server may.
func answer(d Driver, k Kind) *forgetest.Fault {
	if f := d.Answer(k); f != nil {
		return f
	}
	text := "refused to " + strings.Join(d.Secrets(), " and to ")
	f := &forgetest.Fault{Header: http.Header{"Content-Type": {"application/json"}}}
	switch k {
	case Unauthorized:
		f.Status = http.StatusUnauthorized
	case Forbidden:
		f.Status = http.StatusForbidden
	case NotFound:
		f.Status = http.StatusNotFound
	case Conflict:
		f.Status = http.StatusConflict
	case Rejected:
		f.Status = http.StatusUnprocessableEntity
	case TooMany, TooManyAfter:
		f.Status = http.StatusTooManyRequests
	case Secondary, SecondaryAfter:
		f.Status = http.StatusForbidden
		text = "You have exceeded a secondary rate limit. " + text
	case Internal:
		f.Status = http.StatusInternalServerError
	case BadGateway:
		f.Status = http.StatusBadGateway
	case Unavailable:
		f.Status = http.StatusServiceUnavailable
	case SignInPage:
		f.Status, f.Body = http.StatusOK, "<html>"+text+"</html>"
		return f
	}
	if k == TooManyAfter || k == SecondaryAfter || k == Unavailable {
		f.Header.Set("Retry-After", "90")
	}
	body, _ := json.Marshal(map[string]string{"message": text})
	f.Body = string(body)
	return f
}

// isGit says that a request is git's and not the API's.
func isGit(r *http.Request) bool {
	return strings.HasSuffix(r.URL.Path, "/info/refs") || strings.HasSuffix(r.URL.Path, "/git-upload-pack") ||
		strings.HasSuffix(r.URL.Path, "/git-receive-pack")
}

func isRead(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// onAPI answers every request to the API with a fault, and counts the writes.
func onAPI(f *forgetest.Fault, writes *int) func(*http.Request) *forgetest.Fault {
	return func(r *http.Request) *forgetest.Fault {
		if isGit(r) {
			return nil
		}
		if !isRead(r) {
			*writes++
		}
		return f
	}
}

// onWrites lets a fault befall the API's writes alone.
func onWrites(f *forgetest.Fault) func(*http.Request) *forgetest.Fault {
	return func(r *http.Request) *forgetest.Fault {
		if isGit(r) || isRead(r) {
			return nil
		}
		return f
	}
}

func testFaults(t *testing.T, d Driver) {
	s := openScene(t, d)
	for _, tc := range faultCases() {
		t.Run(string(tc.kind), func(t *testing.T) {
			for _, c := range calls(s) {
				if lacksAny(d, c.needs) {
					continue
				}
				writes := 0
				d.SetFault(onAPI(answer(d, tc.kind), &writes))
				err := c.do(t.Context(), d.Client(Writer))
				d.SetFault(nil)
				want := tc.read
				if c.write {
					want = tc.write
				}
				want.Check(t, d, c.name, err)
				if writes > 1 || (!c.write && writes > 0) {
					t.Errorf("%s: %d writes", c.name, writes)
				}
			}
		})
	}
}
