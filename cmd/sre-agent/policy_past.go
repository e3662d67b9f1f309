package main

import (
	"context"
	"strconv"
	"time"

	"github.com/sre-agent/sre-agent/internal/policy"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
)

// pastVerdict is one patch of a past run, with what was decided on it and what another policy decides.
type pastVerdict struct {
	Run        int64     `json:"run"`
	Repository string    `json:"repository"`
	At         time.Time `json:"at"`
	Fixer      string    `json:"fixer"`
	// Then is "allowed", or "refused" with the reason.
	Then       string           `json:"then"`
	ThenReason string           `json:"then_reason,omitempty"`
	Now        string           `json:"now"`
	NowReason  string           `json:"now_reason,omitempty"`
	Class      string           `json:"class"`
	Danger     int              `json:"danger"`
	Changed    bool             `json:"changed"`
	Findings   []policy.Finding `json:"findings,omitempty"`
}

// pastSummary counts them.
type pastSummary struct {
	Patches int `json:"patches"`
	Allowed int `json:"allowed"`
	Refused int `json:"refused"`
	// NowRefused were allowed then, NowAllowed were refused.
	NowRefused int `json:"now_refused"`
	NowAllowed int `json:"now_allowed"`
}

const (
	wasAllowed = "allowed"
	wasRefused = "refused"
)

func (a *app) testPolicy(ctx context.Context, st *store.Store, rules policy.Rules, since time.Time, asJSON bool) error {
	past := []pastVerdict{}
	var sum pastSummary
	err := st.PastPatches(ctx, since, func(p store.PastPatch) error {
		v := again(p, rules)
		past = append(past, v)
		sum.count(v)
		return nil
	})
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(a.stdout, struct {
			Summary pastSummary   `json:"summary"`
			Runs    []pastVerdict `json:"runs"`
		}{sum, past})
	}
	t := a.terminal()
	if sum.Patches == 0 {
		t.printf("no patches since %s\n", since.Local().Format(time.DateTime))
		return nil
	}
	rows := [][]string{{"RUN", "REPOSITORY", "FIXER", "THEN", "NOW", "DANGER", "CHANGED"}}
	for _, v := range past {
		changed := ""
		if v.Changed {
			changed = "yes"
		}
		rows = append(rows, []string{
			strconv.FormatInt(v.Run, 10), v.Repository, v.Fixer, withReason(v.Then, v.ThenReason), withReason(v.Now, v.NowReason), strconv.Itoa(v.Danger), changed,
		})
	}
	t.table(rows)
	t.printf("%d patches: %d allowed, %d refused; %d would be refused that were allowed, %d allowed that were refused\n",
		sum.Patches, sum.Allowed, sum.Refused, sum.NowRefused, sum.NowAllowed)
	return nil
}

// again judges a past patch. It was refused then if its attempt was blocked by a rule of the policy; scans and checks
// that came later are not this command's.
func again(p store.PastPatch, rules policy.Rules) pastVerdict {
	verdict := judge(p.Diff, rules)
	v := pastVerdict{
		Run: p.RunID, Repository: p.Owner + "/" + p.Name, At: p.StartedAt, Fixer: p.Fixer, Then: wasAllowed, Now: wasAllowed,
		Class: verdict.Class, Danger: verdict.Danger.Score, Findings: verdict.Details,
	}
	if p.Outcome == string(run.Blocked) {
		v.Then, v.ThenReason = wasRefused, p.Reason
	}
	if !verdict.Allowed {
		v.Now, v.NowReason = wasRefused, verdict.Reason
	}
	v.Changed = v.Then != v.Now
	return v
}

func (s *pastSummary) count(v pastVerdict) {
	s.Patches++
	if v.Now == wasAllowed {
		s.Allowed++
	} else {
		s.Refused++
	}
	switch {
	case v.Changed && v.Now == wasRefused:
		s.NowRefused++
	case v.Changed:
		s.NowAllowed++
	}
}
