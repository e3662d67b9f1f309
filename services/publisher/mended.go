package publisher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
	"github.com/sre-agent/sre-agent/internal/webhook"
)

// maxLookedInto is how many pull requests of people are looked into, the newest ones.
const maxLookedInto = 20

// mended ends a run that nobody needs any more: the failing commit is green meanwhile, or a person's pull request changes
// the same lines. What the token may not see is passed over.
func (s *Service) mended(ctx context.Context, at Target, r store.Run, fix db.Fix) (*ending, error) {
	f := r.Failure
	// Only a forge's own CI is sure to be among what the forge shows of a commit.
	if f.Provider == at.Place.Forge {
		checks, err := at.Forge.CommitChecks(ctx, at.Owner, at.Name, f.Commit)
		if err := s.unseen(ctx, r, "the commit's checks", err); err != nil {
			return nil, err
		}
		if err == nil && checks == forge.ChecksGreen {
			e := refused(run.Superseded, store.ReasonGreen, fmt.Sprintf("everything passes on %.12s meanwhile", f.Commit))
			return &e, nil
		}
	}
	if f.FromFork() { // its branch is nobody's base here
		return nil, nil //nolint:nilnil // not mended
	}
	pr, err := s.samePlace(ctx, at, f.Branch, fix)
	if err := s.unseen(ctx, r, "the open pull requests", err); err != nil || pr == nil {
		return nil, err
	}
	e := refused(run.Superseded, "person_fixing", pr.URL+" changes the same lines")
	return &e, nil
}

// unseen passes over what a forge refuses to show for good, and says so.
func (s *Service) unseen(ctx context.Context, r store.Run, what string, err error) error {
	_, permanent := fault.Reason(err)
	if !permanent && !errors.Is(err, forge.ErrUnsupported) {
		return err
	}
	s.Log.WarnContext(ctx, "not looked at before publishing", "run_id", r.ID, "what", what, "error", s.Redact(err.Error()))
	return nil
}

// samePlace finds an open pull request of a person, against a branch, that changes a line which the fix changes too.
func (s *Service) samePlace(ctx context.Context, at Target, branch string, fix db.Fix) (*forge.PullRequest, error) {
	open, err := at.Forge.OpenPullRequests(ctx, at.Owner, at.Name)
	if err != nil {
		return nil, fmt.Errorf("look for pull requests of others: %w", err)
	}
	var mine map[string]map[int]bool
	looked := 0
	for _, pr := range open {
		if pr.BaseRef != branch || strings.HasPrefix(pr.HeadRef, webhook.OwnBranchPrefix) || looked >= maxLookedInto {
			continue
		}
		looked++
		if mine == nil {
			if mine, err = changedLines(fix.Diff); err != nil {
				return nil, err
			}
		}
		files, err := at.Forge.ChangedFiles(ctx, at.Owner, at.Name, pr.Number)
		if errors.Is(err, forge.ErrNoPullRequest) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("files of %s: %w", pr.URL, err)
		}
		for _, file := range files {
			for line := range linesOf(file.Hunks) {
				if mine[file.Path][line] {
					return &pr, nil
				}
			}
		}
	}
	return nil, nil //nolint:nilnil // none is an answer
}

// changedLines are the lines, before the change, that a diff touches in each file.
func changedLines(diff []byte) (map[string]map[int]bool, error) {
	p, err := patch.Parse(diff)
	if err != nil {
		return nil, err
	}
	// No line of a file's content begins with "diff": each begins with a sign.
	parts := bytes.Split(append([]byte("\n"), diff...), []byte("\ndiff --git "))[1:]
	out := map[string]map[int]bool{}
	for i, part := range parts[:min(len(parts), len(p.Files))] {
		if at := bytes.Index(part, []byte("\n@@ ")); at >= 0 {
			out[p.Files[i].Path()] = linesOf(string(part[at+1:]))
		}
	}
	return out, nil
}

// linesOf are the lines, before the change, that hunks take away, or that they put something before.
func linesOf(hunks string) map[int]bool {
	out := map[int]bool{}
	line := 0
	for text := range strings.Lines(hunks) {
		switch text[0] {
		case '@':
			old, _, _ := strings.Cut(strings.TrimPrefix(text, "@@ -"), " ")
			old, _, _ = strings.Cut(old, ",")
			line, _ = strconv.Atoi(old) // what is no number is no hunk of a forge: then no line fits
		case '+':
			out[line] = true
		case '-':
			out[line] = true
			line++
		case ' ':
			line++
		}
	}
	return out
}
