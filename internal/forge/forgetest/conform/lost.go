package conform

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
)

// testLostReplies lets writes take effect without an answer: the error is temporary, nothing is sent twice, and the
// effect is there to be found.
func testLostReplies(t *testing.T, d Driver) {
	for _, tc := range []struct {
		name  string
		fault forgetest.Fault
		hangs bool
	}{
		{"the connection breaks after the effect", forgetest.Fault{AfterEffect: true, Drop: true}, false},
		{"the answer after the effect is 502", forgetest.Fault{AfterEffect: true, Status: http.StatusBadGateway}, false},
		{"no answer comes after the effect", forgetest.Fault{AfterEffect: true, Hang: true}, true},
		{"the connection breaks before the effect", forgetest.Fault{Drop: true}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := openScene(t, d)
			for _, c := range calls(s) {
				if !c.write || lacksAny(d, c.needs) {
					continue
				}
				writes := 0
				count := onAPI(&tc.fault, &writes)
				d.SetFault(func(r *http.Request) *forgetest.Fault {
					if isRead(r) {
						return nil
					}
					return count(r)
				})
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if tc.hangs {
					ctx, cancel = context.WithTimeout(ctx, 500*time.Millisecond)
				}
				err := c.do(ctx, d.Client(Writer))
				cancel()
				d.SetFault(nil)
				Want{Temporary: true}.Check(t, d, c.name, err)
				if tc.hangs && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v, want it to be the deadline", c.name, err)
				}
				if writes != 1 {
					t.Errorf("%s: %d writes, want 1: a write is never repeated by itself", c.name, writes)
				}
			}
			checkEffects(t, s, tc.fault.AfterEffect)
		})
	}
}

// checkEffects looks for what the calls did, each once or not at all.
func checkEffects(t *testing.T, s *openedScene, done bool) {
	t.Helper()
	found, err := s.Client(Writer).FindPullRequests(t.Context(), s.Owner, s.Name, "second")
	must(t, err)
	if want := map[bool]int{true: 1}[done]; len(found) != want {
		t.Errorf("%d pull requests of the lost call are found, want %d", len(found), want)
	}
	first := s.See(t)[0]
	if !s.Lacks(Comments) {
		want := map[bool]string{true: "edited|more", false: "ours"}[done]
		var got []string
		for _, c := range first.Comments {
			got = append(got, c.Body)
		}
		if strings.Join(got, "|") != want {
			t.Errorf("comments are %q, want %s", got, want)
		}
	}
	if !s.Lacks(PullStates) && (first.State == "closed") != done {
		t.Errorf("the pull request is %s", first.State)
	}
	if !s.Lacks(Labels) && (len(first.Labels) == 1) != done {
		t.Errorf("its labels are %q", first.Labels)
	}
}

// testRedirects sends every call to another host: a write does not go there, and no token does.
func testRedirects(t *testing.T, d Driver) {
	var mu sync.Mutex
	var reached []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		reached = append(reached, r.Method)
		var all strings.Builder
		_ = r.Header.Write(&all)
		for _, secret := range d.Secrets() {
			if strings.Contains(all.String()+r.URL.String(), secret) {
				t.Errorf("the other host was sent a token: %s %s", r.Method, r.URL.Path)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{}"))
	}))
	defer other.Close()
	s := openScene(t, d)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		for _, c := range calls(s) {
			if lacksAny(d, c.needs) {
				continue
			}
			reached = nil
			writes := 0
			d.SetFault(onAPI(&forgetest.Fault{Status: status, Header: http.Header{"Location": {other.URL + "/moved"}}}, &writes))
			err := c.do(t.Context(), d.Client(Writer))
			d.SetFault(nil)
			hides(t, d, c.name, err)
			if c.write && err == nil {
				t.Errorf("%s: a write that was sent away (%d) is no success", c.name, status)
			}
			for _, method := range reached {
				if method != http.MethodGet {
					t.Errorf("%s: a %s reached the other host (%d)", c.name, method, status)
				}
			}
			reason, _ := fault.Reason(err)
			if kept := status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect; kept && c.write && reason != "foreign_redirect" {
				t.Errorf("%s: %v, want foreign_redirect", c.name, err)
			}
		}
	}
}
