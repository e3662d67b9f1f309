package github_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/joblog"
	"github.com/sre-agent/sre-agent/internal/joblog/github"
)

func startForge(t *testing.T, opts forgetest.Options) *forgetest.Server {
	t.Helper()
	opts.ReadTokens = []string{"reader"}
	s, err := forgetest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.CreateRepo("acme", "shop", "main"); err != nil {
		t.Fatal(err)
	}
	return s
}

func addJob(t *testing.T, s *forgetest.Server, attempt int, j forgetest.Job, log string) int64 {
	t.Helper()
	id, err := s.AddJob("acme", "shop", 77, attempt, j, log)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func failure(repo string, attempt int) ci.Failure {
	return ci.Failure{Repository: ci.Repository{Owner: "acme", Name: repo}, RunID: "77", RunAttempt: attempt}
}

func job(id int64) joblog.Job { return joblog.Job{ID: fmt.Sprint(id), Run: "77/1", Name: "x"} }

func assertFits(t *testing.T, s *forgetest.Server) {
	t.Helper()
	if v := s.Violations(); len(v) > 0 {
		t.Errorf("violations: %q", v)
	}
}

func TestFailedJobsOfAnAttemptAndOfTheLatest(t *testing.T) {
	s := startForge(t, forgetest.Options{})
	steps := []forgetest.Step{{Name: "checkout", Conclusion: "success"}, {Name: "lint", Conclusion: "failure"}, {Name: "slow", Conclusion: "timed_out"}}
	first := addJob(t, s, 1, forgetest.Job{Name: "lint", Conclusion: "failure", Steps: steps}, "")
	addJob(t, s, 1, forgetest.Job{Name: "ok", Conclusion: "success"}, "")
	addJob(t, s, 1, forgetest.Job{Name: "stopped", Conclusion: "cancelled"}, "")
	second := addJob(t, s, 2, forgetest.Job{Name: "test", Conclusion: "timed_out"}, "")

	src := github.New(joblog.API{BaseURL: s.APIURL(), Token: "reader"})
	url := func(id int64) string { return fmt.Sprintf("%s/acme/shop/actions/runs/77/job/%d", s.URL(), id) }
	jobs1 := []joblog.Job{{ID: fmt.Sprint(first), Run: "77/1", Name: "lint", Conclusion: "failure", URL: url(first), FailedSteps: []string{"lint", "slow"}}}
	jobs2 := []joblog.Job{{ID: fmt.Sprint(second), Run: "77/2", Name: "test", Conclusion: "timed_out", URL: url(second)}}
	for attempt, want := range map[int][]joblog.Job{1: jobs1, 2: jobs2, 0: jobs2} {
		got, err := src.FailedJobs(t.Context(), failure("shop", attempt))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("attempt %d (-want +got):\n%s", attempt, diff)
		}
	}
	assertFits(t, s)
}

func TestFailedJobsReadsEveryPage(t *testing.T) {
	s := startForge(t, forgetest.Options{MaxPerPage: 2})
	var want, got []string
	for i := range 7 {
		name := fmt.Sprintf("job-%d", i)
		want = append(want, name)
		addJob(t, s, 1, forgetest.Job{Name: name, Conclusion: "failure"}, "")
	}
	jobs, err := github.New(joblog.API{BaseURL: s.APIURL(), Token: "reader"}).FailedJobs(t.Context(), failure("shop", 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs {
		got = append(got, j.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	assertFits(t, s)
}

func TestHostileNamesNeverReachAnotherPath(t *testing.T) {
	s := startForge(t, forgetest.Options{})
	id := addJob(t, s, 1, forgetest.Job{Name: "x", Conclusion: "failure"}, "secret")
	src := github.New(joblog.API{BaseURL: s.APIURL(), Token: "reader"})
	for name, want := range map[string]string{
		"..": "invalid_name", ".": "invalid_name", "": "invalid_name",
		"%2e": "not_found", "%2e%2e": "not_found", "a/b": "not_found", "../acme/shop": "not_found", "shop?x=": "not_found", "shop#": "not_found",
	} {
		_, _, err := src.Log(t.Context(), failure(name, 1), job(id), 100)
		if reason, _ := fault.Reason(err); reason != want {
			t.Errorf("log of %q: %v, want %s", name, err, want)
		}
		_, err = src.FailedJobs(t.Context(), failure(name, 1))
		if reason, _ := fault.Reason(err); reason != want {
			t.Errorf("jobs of %q: %v, want %s", name, err, want)
		}
	}
	assertFits(t, s)
}

func TestALogThatIsGoneIsReadFromTheRunsArchive(t *testing.T) {
	s := startForge(t, forgetest.Options{})
	id := addJob(t, s, 1, forgetest.Job{Name: "build / go: 1.26", Conclusion: "failure", LogGone: true}, "")
	src := github.New(joblog.API{BaseURL: s.APIURL(), Token: "reader"})
	at := joblog.Job{ID: fmt.Sprint(id), Run: "77/1", Name: "build / go: 1.26"}
	if _, _, err := src.Log(t.Context(), failure("shop", 1), at, 1000); !isReason(err, "not_found") {
		t.Errorf("without an archive: %v, want not_found", err)
	}
	archive := zipped(t, "build  go 1.26/1_lint.txt", "a step", "../0_build  go 1.26.txt", "evil", "/0_build  go 1.26.txt", "evil",
		"0_other.txt", "other", "\x00_build  go 1.26.txt", "evil", "\xff_build  go 1.26.txt", "evil", "3_build  go 1.26.txt", "the log")
	if err := s.AddArchive("acme", "shop", 77, 1, archive); err != nil {
		t.Fatal(err)
	}
	text, truncated, err := src.Log(t.Context(), failure("shop", 1), at, 1000)
	if err != nil || truncated || string(text) != "the log" {
		t.Errorf("log = %q, %v, %v", text, truncated, err)
	}
	assertFits(t, s)
}

func isReason(err error, want string) bool {
	reason, permanent := fault.Reason(err)
	return permanent && reason == want
}

func zipped(t *testing.T, entries ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	for i := 0; i < len(entries); i += 2 {
		w, err := zw.Create(entries[i])
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, entries[i+1])
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTheLastGreenRunIsOfTheSameWorkflowOnTheBaseBranch(t *testing.T) {
	s := startForge(t, forgetest.Options{})
	runs := []forgetest.Run{
		{ID: 80, Workflow: ".github/workflows/ci.yml", Branch: "main", Conclusion: "success"},
		{ID: 81, Workflow: ".github/workflows/ci.yml", Branch: "main", Conclusion: "success"},
		{ID: 82, Workflow: ".github/workflows/ci.yml", Branch: "main", Conclusion: "failure"},
		{ID: 83, Workflow: ".github/workflows/ci.yml", Branch: "feature", Conclusion: "success"},
		{ID: 84, Workflow: ".github/workflows/docs.yml", Branch: "main", Conclusion: "success"},
	}
	ids := map[int64]int64{}
	for _, r := range runs {
		if err := s.AddRun("acme", "shop", r); err != nil {
			t.Fatal(err)
		}
		id, err := s.AddJob("acme", "shop", r.ID, 1, forgetest.Job{Name: "lint", Conclusion: r.Conclusion}, "green")
		if err != nil {
			t.Fatal(err)
		}
		ids[r.ID] = id
	}
	f := failure("shop", 1)
	f.Workflow, f.BaseBranch = ".github/workflows/ci.yml", "main"
	src := github.New(joblog.API{BaseURL: s.APIURL(), Token: "reader"})
	got, found, err := src.LastGreen(t.Context(), f, joblog.Job{Name: "lint"})
	if err != nil || !found || got.ID != fmt.Sprint(ids[81]) || got.Run != "81/1" {
		t.Errorf("last green = %+v, %v, %v; want the job of run 81", got, found, err)
	}
	for _, unlike := range []func(){func() { f.BaseBranch = "other" }, func() { f.BaseBranch = "" }, func() { f.BaseBranch, f.Workflow = "main", "job:lint" }} {
		unlike()
		if _, found, err := src.LastGreen(t.Context(), f, joblog.Job{Name: "lint"}); found || err != nil {
			t.Errorf("%q on %q: %v, %v; want none", f.Workflow, f.BaseBranch, found, err)
		}
	}
	assertFits(t, s)
}

func TestLogComesFromTheOtherHostWithoutTheToken(t *testing.T) {
	s := startForge(t, forgetest.Options{})
	id := addJob(t, s, 1, forgetest.Job{Name: "x", Conclusion: "failure"}, "line 1\nline 2\n")
	text, truncated, err := github.New(joblog.API{BaseURL: s.APIURL(), Token: "reader"}).Log(t.Context(), failure("shop", 1), job(id), 1<<20)
	if err != nil || truncated || string(text) != "line 1\nline 2\n" {
		t.Errorf("log = %q, %v, %v", text, truncated, err)
	}
	// A default client follows the redirect with the token: the forge must notice, or this test proves nothing.
	assertFits(t, s)
	req, _ := http.NewRequest(http.MethodGet, fmt.Sprintf("%s/repos/acme/shop/actions/jobs/%d/logs", s.APIURL(), id), nil)
	req.Header.Set("Authorization", "Bearer reader")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if len(s.Violations()) == 0 {
		t.Error("the log host did not notice a leaked token")
	}
}

func TestLogKeepsAQuarterOfHeadAndThreeQuartersOfTail(t *testing.T) {
	s := startForge(t, forgetest.Options{})
	src := github.New(joblog.API{BaseURL: s.APIURL(), Token: "reader"})
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	full := b.String()
	id := addJob(t, s, 1, forgetest.Job{Name: "x", Conclusion: "failure"}, full)
	for _, limit := range []int64{4000, 4001, 40_003, int64(len(full)) - 1} {
		text, truncated, err := src.Log(t.Context(), failure("shop", 1), job(id), limit)
		if err != nil || !truncated {
			t.Fatalf("limit %d: truncated = %v, %v", limit, truncated, err)
		}
		head, rest, ok1 := strings.Cut(string(text), "\n[... ")
		count, tail, ok2 := strings.Cut(rest, " bytes left out ...]\n")
		if !ok1 || !ok2 || int64(len(text)) > limit {
			t.Fatalf("limit %d: %d bytes, marker found: %v %v", limit, len(text), ok1, ok2)
		}
		if int64(len(head)) != limit/4 || !strings.HasPrefix(full, head) || !strings.HasSuffix(full, tail) {
			t.Errorf("limit %d: head %d bytes, tail %d bytes do not fit the log", limit, len(head), len(tail))
		}
		if want := fmt.Sprint(len(full) - len(head) - len(tail)); count != want {
			t.Errorf("limit %d: says %s bytes are left out, want %s", limit, count, want)
		}
	}
	for _, limit := range []int64{1, 5, 100} {
		text, truncated, err := src.Log(t.Context(), failure("shop", 1), job(id), limit)
		tail := full[len(full)-int(limit-limit/4):]
		if err != nil || !truncated || string(text) != full[:limit/4]+tail {
			t.Errorf("limit %d: %q, %v, %v", limit, text, truncated, err)
		}
	}
	text, truncated, err := src.Log(t.Context(), failure("shop", 1), job(id), int64(len(full)))
	if err != nil || truncated || string(text) != full {
		t.Errorf("a log of exactly the limit is cut: %v, %v", truncated, err)
	}
}

func TestABigLogTakesLittleMemory(t *testing.T) {
	const size, limit = 200 << 20, 64 << 10
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(strings.Repeat("0123456789abcde\n", 1<<16))
		for range size / len(chunk) {
			_, _ = w.Write(chunk)
		}
		_, _ = io.WriteString(w, "the end")
	}))
	defer srv.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	text, truncated, err := github.New(joblog.API{BaseURL: srv.URL}).Log(t.Context(), failure("shop", 1), job(1), limit)
	runtime.ReadMemStats(&after)
	if err != nil || !truncated || !strings.HasSuffix(string(text), "the end") {
		t.Fatalf("%d bytes, %v, %v", len(text), truncated, err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 32<<20 {
		t.Errorf("reading %d bytes allocated %d", size, grown)
	}
}

func TestALogThatBreaksOffIsTransient(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "half a log")
	}))
	defer srv.Close()
	_, _, err := github.New(joblog.API{BaseURL: srv.URL}).Log(t.Context(), failure("shop", 1), job(1), 100)
	if _, permanent := fault.Reason(err); err == nil || permanent {
		t.Errorf("error = %v, want a transient one", err)
	}
}
