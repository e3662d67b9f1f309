package publisher

import (
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/markup"
	"github.com/sre-agent/sre-agent/internal/pulltext"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// told is what a pull request tells of. It holds nothing that another try would have otherwise.
func told(r store.Run, fix db.Fix, report evidence.Report) pulltext.Input {
	return pulltext.Input{
		Failure: r.Failure, RunKey: r.RunKey, RunID: r.ID, Fence: fix.Fence, Fixer: fix.Fixer, Title: fix.Title, Digest: fix.Digest, Report: report,
	}
}

func title(r store.Run, fix db.Fix, report evidence.Report) string {
	return pulltext.TitleOf(told(r, fix, report))
}

func commitMessage(r store.Run, fix db.Fix, report evidence.Report) string {
	return pulltext.CommitMessage(told(r, fix, report))
}

func body(at Target, r store.Run, fix db.Fix, report evidence.Report) string {
	return pulltext.Body(told(r, fix, report), markup.Of(at.Place.Forge))
}
