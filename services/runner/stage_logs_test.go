package runner

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/joblog"
	"github.com/sre-agent/sre-agent/internal/joblog/gitlab"
	"github.com/sre-agent/sre-agent/internal/joblog/green"
	"github.com/sre-agent/sre-agent/internal/joblog/joblogtest"
	"github.com/sre-agent/sre-agent/internal/redact"
	"github.com/sre-agent/sre-agent/internal/telemetry"
)

// oneSource is a reader of one provider's logs.
type oneSource struct{ *gitlab.Source }

func (oneSource) Readable(ci.Failure) error { return nil }

func TestTheLastGreenLogIsReadOnceRedactedAndOutlivesTheAPI(t *testing.T) {
	d := joblogtest.GitLab()
	srv := joblogtest.Start(t, d, joblogtest.World{
		Failed: []joblogtest.Job{{Name: "test", Failed: true, Log: "red\n"}}, Green: []joblogtest.Job{{Name: "test", Log: "ok the-secret-value\n"}},
	})
	dir := filepath.Join(t.TempDir(), "green")
	greens, err := green.Open(dir, green.MaxTotal)
	if err != nil {
		t.Fatal(err)
	}
	p := &FixPipeline{
		Logs: oneSource{gitlab.New(joblog.API{BaseURL: srv.URL + d.Base, Token: d.Token})}, Greens: greens,
		Redact: redact.New([]string{"the-secret-value"}), Log: telemetry.NewTest().Log,
	}
	f, job := d.Failure(srv.URL), joblog.Job{Name: "test"}
	if got := string(p.lastGreen(t.Context(), f, job)); got != p.Redact.String("ok the-secret-value\n") || got == "ok the-secret-value\n" {
		t.Fatalf("passing log = %q", got)
	}
	first := len(srv.Requests())
	again := p.lastGreen(t.Context(), f, job)
	if len(again) == 0 || len(srv.Requests())-first >= first {
		t.Errorf("the second time: %q, with %d requests after %d", again, len(srv.Requests())-first, first)
	}
	srv.Fault = func(*http.Request) *joblogtest.Fault { return &joblogtest.Fault{Status: http.StatusServiceUnavailable} }
	if kept := p.lastGreen(t.Context(), f, job); string(kept) != string(again) {
		t.Errorf("with the API away: %q", kept)
	}
	// The store is a cache: losing it is no trouble either.
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if kept := p.lastGreen(t.Context(), f, job); kept != nil {
		t.Errorf("without store and API: %q", kept)
	}
	srv.Fault = nil
	if kept := p.lastGreen(t.Context(), f, job); string(kept) != string(again) {
		t.Errorf("without a store: %q", kept)
	}
}
