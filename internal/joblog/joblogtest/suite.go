package joblogtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/joblog"
)

// Source is what every provider's reader does.
type Source interface {
	FailedJobs(ctx context.Context, f ci.Failure) ([]joblog.Job, error)
	Log(ctx context.Context, f ci.Failure, job joblog.Job, limit int64) (text []byte, truncated bool, err error)
	LastGreen(ctx context.Context, f ci.Failure, job joblog.Job) (joblog.Job, bool, error)
}

// suite runs a reader on its double.
type suite struct {
	double Double
	open   func(joblog.API) Source
}

// Conform holds a reader to what all of them promise.
func Conform(t *testing.T, d Double, open func(joblog.API) Source) {
	s := suite{d, open}
	t.Run("the failed jobs are listed, over every page", s.lists)
	t.Run("a log is read whole", s.reads)
	t.Run("a long log is cut in the middle and says so", s.cuts)
	t.Run("one endless line costs bounded memory", s.endless)
	t.Run("the last green job on the base branch is found, with its log", s.green)
	t.Run("the token goes to no other host", s.tokenStaysHome)
	t.Run("a refusal is permanent and has a name, a trouble is not", s.answers)
	t.Run("an answer that breaks off is a trouble", s.breaksOff)
	t.Run("a hostile name reaches no other path", s.hostile)
}

// start runs the double on a world, and a reader on it.
func (s suite) start(t *testing.T, world World) (*Server, Source, ci.Failure) {
	t.Helper()
	srv := Start(t, s.double, world)
	return srv, s.open(joblog.API{BaseURL: srv.URL + s.double.Base, Token: s.double.Token}), s.double.Failure(srv.URL)
}

const short = "go test ./...\n--- FAIL: TestBasket (0.00s)\n\x1b[31mFAIL\x1b[0m \"quoted\" \\ ümläut\n"

// one is a world with one failed job and one green one.
func one(log Job) World {
	log.Name, log.Failed = "test", true
	return World{Failed: []Job{log}, Green: []Job{{Name: "test", Log: "ok\n"}}}
}

func (s suite) only(t *testing.T, src Source, f ci.Failure) joblog.Job {
	t.Helper()
	jobs, err := src.FailedJobs(t.Context(), f)
	if err != nil || len(jobs) != 1 {
		t.Fatalf("failed jobs: %+v, %v; want one", jobs, err)
	}
	return jobs[0]
}

func (s suite) lists(t *testing.T) {
	world := World{PerPage: 3}
	var want []string
	for i := range 10 {
		j := Job{Name: fmt.Sprintf("job-%d", i), Failed: i%3 != 1, Log: fmt.Sprintf("the log of job %d\n", i)}
		if world.Failed = append(world.Failed, j); j.Failed {
			want = append(want, j.Log)
		}
	}
	srv, src, f := s.start(t, world)
	jobs, err := src.FailedJobs(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if pages := len(srv.Requests()); s.double.Paged && pages < 3 {
		t.Errorf("%d requests for more than two pages", pages)
	}
	var got []string
	for _, j := range jobs {
		text, _, err := src.Log(t.Context(), f, j, 1<<20)
		if err != nil {
			t.Fatalf("log of %q: %v", j.Name, err)
		}
		got = append(got, strings.TrimPrefix(string(text), circlePrefix))
		if j.ID == "" || j.Name == "" || j.Conclusion == "" {
			t.Errorf("a job without id, name or conclusion: %+v", j)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the failed jobs' logs (-want +got):\n%s", diff)
	}
}

func (s suite) reads(t *testing.T) {
	_, src, f := s.start(t, one(Job{Log: short}))
	text, truncated, err := src.Log(t.Context(), f, s.only(t, src, f), 1<<20)
	if err != nil || truncated || strings.TrimPrefix(string(text), circlePrefix) != short {
		t.Errorf("log = %q, %v, %v", text, truncated, err)
	}
}

func (s suite) cuts(t *testing.T) {
	const limit = 4000
	_, src, f := s.start(t, one(Job{Log: "the beginning\n" + strings.Repeat("a line\n", 20_000) + "the end\n"}))
	text, truncated, err := src.Log(t.Context(), f, s.only(t, src, f), limit)
	whole := strings.TrimPrefix(string(text), circlePrefix)
	if err != nil || !truncated || len(text) > limit || !strings.HasPrefix(whole, "the beginning\n") || !strings.HasSuffix(whole, "a line\nthe end\n") {
		t.Errorf("%d bytes, %v, %v: %.60q", len(text), truncated, err, text)
	}
	if strings.Count(whole, " bytes left out ...]\n") != 1 {
		t.Errorf("nothing says what is left out: %q", whole)
	}
}

// endlessLine is how long the line of the suite is; the test of joblog itself has one of 500 MB.
const endlessLine = 64 << 20

func (s suite) endless(t *testing.T) {
	_, src, f := s.start(t, one(Job{Endless: endlessLine, Log: "\nthe end\n"}))
	job := s.only(t, src, f)
	var text []byte
	var truncated bool
	var err error
	peak := Peak(func() { text, truncated, err = src.Log(t.Context(), f, job, 1<<20) })
	if err != nil || !truncated || !strings.HasSuffix(string(text), "x\nthe end\n") {
		t.Errorf("%d bytes, %v, %v", len(text), truncated, err)
	}
	if peak > 16<<20 {
		t.Errorf("a line of %d bytes took %d bytes of memory", endlessLine, peak)
	}
}

func (s suite) green(t *testing.T) {
	srv, src, f := s.start(t, one(Job{Log: short}))
	green, found, err := src.LastGreen(t.Context(), f, s.only(t, src, f))
	if err != nil || !found {
		t.Fatalf("last green: %+v, %v, %v", green, found, err)
	}
	text, _, err := src.Log(t.Context(), f, green, 1<<20)
	if err != nil || strings.TrimPrefix(string(text), circlePrefix) != "ok\n" {
		t.Errorf("its log = %q, %v", text, err)
	}
	srv.World.Green[0].Name = "another"
	if f.Provider == "jenkins" {
		return // a build has its project's name, whatever is in it
	}
	if green, found, err := src.LastGreen(t.Context(), f, joblog.Job{Name: "test", Run: green.Run}); found || err != nil {
		t.Errorf("a job that the green run has not: %+v, %v", green, err)
	}
}

// tokenStaysHome redirects every request to another host that answers as well, and looks at what comes there.
func (s suite) tokenStaysHome(t *testing.T) {
	other := Start(t, s.double, one(Job{Log: short}))
	other.NeedsToken = false
	srv, src, f := s.start(t, one(Job{Log: short}))
	job := s.only(t, src, f)
	srv.Fault = func(r *http.Request) *Fault {
		return &Fault{Status: http.StatusFound, Header: http.Header{"Location": {other.URL + r.URL.RequestURI()}}}
	}
	_, _ = src.FailedJobs(t.Context(), f)
	_, _, _ = src.Log(t.Context(), f, job, 1<<20)
	_, _, _ = src.LastGreen(t.Context(), f, job)
	if len(other.Requests()) < 3 {
		t.Errorf("the other host saw %d requests: this proves little", len(other.Requests()))
	}
	for _, r := range other.Requests() {
		for name, values := range r.Header {
			if text := strings.Join(values, " "); name == "Authorization" || name == "Referer" || name == "Cookie" || strings.Contains(text, s.double.Token) {
				t.Errorf("%s came with %s: %s", r.URL, name, text)
			}
		}
		if strings.Contains(r.URL.String(), s.double.Token) {
			t.Errorf("the token is in %s", r.URL)
		}
	}
}

func (s suite) answers(t *testing.T) {
	srv, src, f := s.start(t, one(Job{Log: short}))
	job := s.only(t, src, f)
	for _, tt := range []struct {
		name   string
		fault  Fault
		reason string
		after  time.Duration
	}{
		{"401", Fault{Status: http.StatusUnauthorized}, "unauthorized", 0},
		{"403", Fault{Status: http.StatusForbidden}, "forbidden", 0},
		{"404", Fault{Status: http.StatusNotFound}, "not_found", 0},
		{"a page to sign in", Fault{Status: http.StatusNonAuthoritativeInfo}, "unauthorized", 0},
		{"429 with a time", Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"7"}}}, "", 7 * time.Second},
		{"429 without one", Fault{Status: http.StatusTooManyRequests}, "", time.Minute},
		{"500", Fault{Status: http.StatusInternalServerError}, "", 0},
		{"503 with a time", Fault{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"9"}}}, "", 9 * time.Second},
		{"no answer", Fault{Drop: true}, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv.Fault = func(*http.Request) *Fault { return &tt.fault }
			_, listing := src.FailedJobs(t.Context(), f)
			_, _, reading := src.Log(t.Context(), f, job, 1<<20)
			for what, err := range map[string]error{"listing": listing, "reading": reading} {
				reason, _ := fault.Reason(err)
				if err == nil || reason != tt.reason || fault.RetryAfter(err) != tt.after {
					t.Errorf("%s: %v (%q, after %s); want %q, after %s", what, err, reason, fault.RetryAfter(err), tt.reason, tt.after)
				}
				if err != nil && strings.Contains(err.Error(), s.double.Token) {
					t.Errorf("%s: the token is in the error", what)
				}
			}
		})
	}
}

func (s suite) breaksOff(t *testing.T) {
	srv, src, f := s.start(t, one(Job{Log: strings.Repeat(short, 100)}))
	job := s.only(t, src, f)
	requests := len(srv.Requests())
	srv.Fault = func(*http.Request) *Fault { return &Fault{Half: true} }
	_, listing := src.FailedJobs(t.Context(), f)
	srv.Fault = func(r *http.Request) *Fault {
		// Only the last request of a log is for the text.
		if n := len(srv.Requests()) - requests - 1; n < s.beforeText(f.Provider) {
			return nil
		}
		return &Fault{Half: true}
	}
	requests = len(srv.Requests())
	text, _, reading := src.Log(t.Context(), f, job, 1<<20)
	for what, err := range map[string]error{"listing": listing, "reading": reading} {
		if _, permanent := fault.Reason(err); err == nil || permanent || errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want a trouble that may pass (%d bytes)", what, err, len(text))
		}
	}
}

// beforeText is how many requests come before that for a log's text.
func (s suite) beforeText(provider string) int {
	if provider == "azure-devops" || provider == "circleci" || provider == "github" {
		return 1
	}
	return 0
}

func (s suite) hostile(t *testing.T) {
	srv, src, f := s.start(t, one(Job{Log: short}))
	job := s.only(t, src, f)
	seen := len(srv.Requests())
	for _, name := range []string{"..", ".", "", "../..", "a/../../b", "%2e%2e", "%2e%2e%2fx", "x?y=z", "x#y", "x\ny", "\x00"} {
		for what, bad := range map[string]ci.Failure{"run": hostileRun(f, name), "repository": hostileRepository(f, name), "workflow": hostileWorkflow(f, name)} {
			_, _ = src.FailedJobs(t.Context(), bad)
			_, _, _ = src.LastGreen(t.Context(), bad, job)
			_, _, err := src.Log(t.Context(), bad, joblog.Job{ID: name, Run: name, Name: name}, 100)
			if err == nil {
				t.Errorf("%s %q: a log was read", what, name)
			}
		}
	}
	for _, r := range srv.Requests()[seen:] {
		for _, segment := range strings.Split(r.URL.EscapedPath(), "/")[1:] {
			if segment == "" || segment == "." || segment == ".." || strings.EqualFold(segment, "%2e%2e") || strings.EqualFold(segment, "%2e") {
				t.Errorf("request for %s", r.URL.EscapedPath())
			}
		}
	}
}

func hostileRun(f ci.Failure, name string) ci.Failure {
	f.RunID = name
	f.RunURL = strings.Replace(f.RunURL, "100", name, 1)
	return f
}

func hostileRepository(f ci.Failure, name string) ci.Failure {
	f.Repository.ID, f.Repository.Owner, f.Repository.Name = name, name, name
	return f
}

func hostileWorkflow(f ci.Failure, name string) ci.Failure {
	f.Workflow = name + "/" + name
	return f
}
