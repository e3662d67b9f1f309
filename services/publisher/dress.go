package publisher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/markup"
	"github.com/sre-agent/sre-agent/internal/minisign"
	"github.com/sre-agent/sre-agent/internal/pulltext"
	signed "github.com/sre-agent/sre-agent/internal/receipt"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// Receipts signs what a pull request is made of.
type Receipts struct {
	Store ReceiptStore
	Key   minisign.SecretKey
	// Rules is the digest of what Review judges by.
	Rules string
}

// ReceiptStore keeps receipts, and knows the event that a run answers.
type ReceiptStore interface {
	Event(ctx context.Context, id int64) (db.Delivery, error)
	SaveReceipt(ctx context.Context, id, fence int64, receipt, minisig string) error
}

// dress marks a pull request of ours that is open, and leaves its receipt there. Each step may be repeated, so that one
// who comes after a crash does them again; none is worth failing a publication for.
//
//	died before or after the labels     they are set again, to the same
//	died before the receipt's row       nothing is on the forge; the same one is signed again
//	died before or after the comment    it is looked for by its token, and written if it is not there
//	reply of a step lost                as if it had failed: the log says so, and the publication ends all the same
func (s *Service) dress(ctx context.Context, r store.Run, fix db.Fix, end ending) {
	if end.receipt == nil || end.receipt.Merged {
		return
	}
	at, err := s.Target(r.Failure)
	report, perr := evidence.Parse(fix.Evidence)
	if err := errors.Join(err, perr); err != nil {
		s.undressed(ctx, "labels and receipt", err)
		return
	}
	err = at.Forge.AddLabels(ctx, at.Owner, at.Name, int(end.receipt.Number), pulltext.Labels(report))
	if err != nil && !errors.Is(err, forge.ErrUnsupported) {
		s.undressed(ctx, "the labels", err)
	}
	if s.Receipts == nil {
		return
	}
	if err := s.leaveReceipt(ctx, at, r, fix, report, *end.receipt); err != nil && !errors.Is(err, forge.ErrUnsupported) {
		s.undressed(ctx, "the receipt", err)
	}
}

func (s *Service) undressed(ctx context.Context, what string, err error) {
	s.Log.WarnContext(ctx, "a pull request is without something", "without", what, "error", s.Redact(err.Error()))
}

func (s *Service) leaveReceipt(ctx context.Context, at Target, r store.Run, fix db.Fix, report evidence.Report, pr store.Receipt) error {
	pub, err := s.Store.Publication(ctx, r.ID)
	if err != nil {
		return err
	}
	if pub == nil {
		return errors.New("there is no publication on record")
	}
	event, err := s.Receipts.Store.Event(ctx, r.ID)
	if err != nil {
		return err
	}
	made, err := receiptOf(r, fix, report, *pub, event, pr.URL, s.Receipts.Rules)
	if err != nil {
		return err
	}
	proof, err := signed.Sign(made, s.Receipts.Key)
	if err != nil {
		return err
	}
	if err := s.Receipts.Store.SaveReceipt(ctx, r.ID, r.Fence, string(proof.Text), proof.Minisig); err != nil {
		return fmt.Errorf("keep the receipt: %w", err)
	}
	// The token is of the pull request and not of the receipt: a later one takes the place of the earlier.
	token := s.Receipts.Key.Token("receipt of " + pr.URL)
	dialect := markup.Of(at.Place.Forge)
	text := proof.Comment(dialect, token)
	if n := utf8.RuneCountInString(text); n > dialect.MaxComment || len(text) > signed.MaxComment {
		return fmt.Errorf("it is kept, and its comment of %d characters is more than %s or sre-agent verify takes", n, at.Place.Forge)
	}
	return s.keepComment(ctx, at, int(pr.Number), text, func(c forge.Comment) bool {
		return signed.Ours(c.Body, token)
	})
}

// keepComment sees to it that one comment of ours says body: the first that is ours by its token, or else a new one.
func (s *Service) keepComment(ctx context.Context, at Target, number int, body string, own func(forge.Comment) bool) error {
	all, err := at.Forge.Comments(ctx, at.Owner, at.Name, number)
	if err != nil {
		return fmt.Errorf("look for our comment: %w", err)
	}
	i := slices.IndexFunc(all, own)
	switch {
	case i < 0:
		_, err = at.Forge.Comment(ctx, at.Owner, at.Name, number, body)
	case sameText(all[i].Body) != sameText(body):
		err = at.Forge.EditComment(ctx, at.Owner, at.Name, number, all[i].ID, body)
	}
	return err
}

// sameText is what a forge may change of a comment taken out: its line ends, and those at its end.
func sameText(body string) string { return strings.TrimSpace(strings.ReplaceAll(body, "\r\n", "\n")) }

func receiptOf(r store.Run, fix db.Fix, report evidence.Report, pub db.Publication, event db.Delivery, url, rules string) (signed.Receipt, error) {
	fixer, err := signed.DigestOf(struct {
		Name  string
		Title string
		Files []string
		Plan  *evidence.Plan
		Agent *evidence.Agent
	}{fix.Fixer, fix.Title, report.Files, report.Plan, report.Agent})
	if err != nil {
		return signed.Receipt{}, fault.Perm("bad_evidence", err)
	}
	out := signed.Receipt{
		BaseCommit: fix.BaseCommit, Branch: pub.Branch, Commit: pub.CommitID, Diff: fix.Digest,
		Event:    signed.Event{Body: "sha256:" + event.BodySha256, Delivery: event.DeliveryID, Provider: event.Provider},
		Evidence: signed.Digest(fix.Evidence), Fence: fix.Fence, Fixer: signed.Fixer{Digest: fixer, Name: fix.Fixer},
		MadeAt: signed.Time(fix.CreatedAt), Policy: signed.Policy{Rules: rules}, PR: url, Repository: r.Failure.Repository.FullName(),
		RunKey: r.RunKey, Version: signed.Version,
	}
	if m := report.Model; m != nil {
		out.Model = &signed.Model{Answer: m.Answer, Name: m.Model, Request: m.Request}
	}
	if p := report.Policy; p != nil {
		out.Policy.Class, out.Policy.Danger = p.Class, p.Danger
	}
	if c := report.Check; c != nil {
		ran := func(c evidence.CheckRun) signed.Ran {
			return signed.Ran{ExitCode: c.ExitCode, Output: signed.Digest([]byte(c.Output))}
		}
		out.Sandbox = signed.Sandbox{After: ran(c.After), Before: ran(c.Before), Command: signed.Digest([]byte(c.Command))}
	}
	return out, nil
}
