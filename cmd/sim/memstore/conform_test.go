package memstore_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/sre-agent/sre-agent/cmd/sim/memstore"
	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

var (
	_ judge = (*store.Store)(nil)
	_ judge = (*memstore.Store)(nil)
)

// pass lets time pass in the database, without its triggers noticing, as time does.
const pass = `begin; set local session_replication_role = replica;
	update runs set not_before = not_before - interval '%[1]d minutes', rung_at = rung_at - interval '%[1]d minutes',
		lease_expires_at = lease_expires_at - interval '%[1]d minutes', attempt_started_at = attempt_started_at - interval '%[1]d minutes',
		attempt_ended_at = attempt_ended_at - interval '%[1]d minutes';
	update publications set created_at = created_at - interval '%[1]d minutes';
	update attempts set started_at = started_at - interval '%[1]d minutes', ended_at = ended_at - interval '%[1]d minutes';
	update turns set due = due - interval '%[1]d minutes'; commit`

const dump = `select 'run ' || run_key || ' ' || state || '(' || reason || ') fence ' || fence || ' attempts ' || attempt_count || ' transient ' || transient_count
		|| ' rings ' || rings || ' generation ' || generation || ' forgiven ' || attempts_forgiven || ' holder ' || coalesce(holder, '-')
		|| ' fingerprint ' || coalesce(fingerprint, '-') || ' due ' || coalesce(round(extract(epoch from not_before - now()) / 60)::text, '-')
		|| ' lease ' || coalesce(round(extract(epoch from lease_expires_at - now()) / 60)::text, '-')
		|| ' began ' || coalesce(round(extract(epoch from attempt_started_at - now()) / 60)::text, '-')
		|| ' over ' || coalesce(round(extract(epoch from attempt_ended_at - now()) / 60)::text, '-') || ' ended ' || (ended_at is not null)
		|| ' ' || explanation || ' follows ' || coalesce((select l.run_key from runs l where l.id = runs.follows), '-') from runs
	union all select 'attempt ' || run_key || ' ' || attempts.fence || ' number ' || coalesce(number::text, '-') || ' ' || coalesce(outcome, '-') || ' ' || attempts.reason
		from attempts join runs on runs.id = run_id
	union all select 'publication ' || run_key || ' ' || p.generation || ' ' || p.state || '(' || p.reason || ') ' || coalesce(pr_url, '-') || ' ' || pr_state
		|| ' ' || p.fingerprint || ' ' || commit_id from publications p join runs on runs.id = run_id
	union all select 'suggestion ' || run_key || ' ' || n.generation || ' ' || n.state || '(' || n.reason || ') ' || n.pr_url || ' ' || coalesce(n.comment_id, '-') || ' ' || n.fingerprint
		from suggestions n join runs on runs.id = run_id
	union all select 'delivery ' || delivery_id || ' ' || outcome || '(' || deliveries.reason || ') ' || coalesce(run_key, '-')
		from deliveries left join runs on runs.id = run_id
	union all select 'refusal ' || refusals.fingerprint || ' ' || run_key || ' ' || pr_url || ' ' || (lifted_at is not null) from refusals join runs on runs.id = run_id
	union all select 'action ' || run_key || ' ' || action || ' ' || before_state from actions join runs on runs.id = run_id
	union all select 'repository ' || external_id || ' paused ' || (paused_at is not null) || ' limit ' || coalesce(concurrency_limit, 0) || ' mode ' || coalesce(mode, '-')
		from repository_settings join repositories on repositories.id = repository_id
		where paused_at is not null or concurrency_limit is not null or mode is not null
	union all select 'operation ' || operation || ' ' || external_id || ' ' || who || ' ' || why from operations join repositories on repositories.id = repository_id
	union all select 'switch ' || external_id || ' ' || off_by || ' ' || (on_at is not null) from switches join repositories on repositories.id = repository_id`

// rig plays operations on both sides.
type rig struct {
	real, double *side
	st           *store.Store
	mem          *memstore.Store
	ahead        time.Duration
	keys         []string
}

// TestTheDoubleJudgesAsPostgreSQLDoes plays random operations on both, and compares each answer and every row.
func TestTheDoubleJudgesAsPostgreSQLDoes(t *testing.T) {
	st, err := store.Open(t.Context(), testenv.PostgresWithSchema(t, func(ctx context.Context, url string) error {
		_, err := store.Migrate(ctx, url)
		return err
	}), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	rapid.Check(t, func(rt *rapid.T) {
		if _, err := st.Pool().Exec(t.Context(), "truncate run_names, greens, deliveries, attempts, fixes, publications, suggestions, refusals, actions, runs, repositories, turns cascade"); err != nil {
			rt.Fatal(err)
		}
		r := &rig{st: st, real: &side{st, map[string]int64{}}}
		r.mem = memstore.New(func() time.Time { return time.Now().Add(r.ahead) }, nil)
		r.double = &side{r.mem, map[string]int64{}}
		rt.Repeat(r.actions())
	})
}

// onward takes a run the next step of an undisturbed life, so that every state is reached often.
func (r *rig) onward(rt *rapid.T) {
	key, _ := r.some(rt)
	row, _ := r.mem.Run(ctx, r.double.ids[key])
	fp := rapid.SampledFrom([]string{"f1", "f1", "f2"}).Draw(rt, "fingerprint")
	easy := run.Limits{MaxAttempts: 100, PerRepository: 100}
	r.both(rt, "onward "+key+" from "+row.State, func(s *side) string {
		id, err := s.ids[key], error(nil)
		switch run.State(row.State) {
		case run.Waiting:
			if _, err = s.real().MendTurns(ctx, 100); err == nil {
				_, err = s.RingDue(ctx, 100, 100)
			}
		case run.Ready:
			_, _, err = s.ClaimRun(ctx, store.Claim{RunID: id, Fence: row.Fence, Holder: "a", TTL: time.Hour, Limits: easy})
		case run.Running:
			err = s.SaveFix(ctx, id, row.Fence, fix(fp))
		case run.Fixed:
			_, _, err = s.ClaimPublication(ctx, id, row.Fence, "a", time.Hour)
		case run.Publishing:
			p, perr := s.Publication(ctx, id)
			switch {
			case perr != nil:
				err = perr
			case p == nil:
				_, err = s.Intend(ctx, id, row.Fence, store.Intent{
					Fingerprint: orDash(row.Fingerprint), Digest: "d", Branch: "sre-agent/x", BaseBranch: "main", CommitID: fmt.Sprintf("%040d", 1),
				})
			case p.State == store.PubIntended:
				err = s.Pushed(ctx, id, row.Fence)
			default:
				err = s.Publish(ctx, id, row.Fence, store.Receipt{State: store.PubOpened, Number: 1, URL: "https://forge/1"}, store.End{State: run.Published})
			}
		default:
			_, err = s.RetryRun(ctx, id, store.Actor{Who: "w", Why: "y"})
		}
		return s.verdict(err)
	})
}

func (r *rig) compare(rt *rapid.T) {
	rows, err := r.st.Pool().Query(context.Background(), dump)
	if err != nil {
		rt.Fatal(err)
	}
	want, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		rt.Fatal(err)
	}
	got := memDump(r.mem, time.Now().Add(r.ahead))
	slices.Sort(want)
	slices.Sort(got)
	for i := range max(len(want), len(got)) {
		var a, b string
		if i < len(want) {
			a = want[i]
		}
		if i < len(got) {
			b = got[i]
		}
		if a != b {
			rt.Fatalf("the rows differ:\nstore:  %s\ndouble: %s", a, b)
		}
	}
}

// some draws a run, and a fence that is often its own.
func (r *rig) some(rt *rapid.T) (key string, fence int64) {
	if len(r.keys) == 0 {
		rt.Skip("no run yet")
	}
	key = rapid.SampledFrom(r.keys).Draw(rt, "run")
	row, _ := r.mem.Run(context.Background(), r.double.ids[key])
	return key, max(0, row.Fence+int64(rapid.SampledFrom([]int{0, 0, 0, 0, 0, -1, 1}).Draw(rt, "fence off by")))
}

var ctx = context.Background()

func hours(rt *rapid.T, what string) time.Duration {
	return time.Duration(rapid.IntRange(0, 2).Draw(rt, what)) * time.Hour
}

func limits(rt *rapid.T) run.Limits {
	base := hours(rt, "backoff")
	return run.Limits{
		MaxAttempts: rapid.IntRange(1, 3).Draw(rt, "most"), BaseBackoff: base, MaxBackoff: 2 * base, Cooldown: hours(rt, "cooldown"),
		PerRepository: rapid.IntRange(1, 2).Draw(rt, "limit"),
	}
}

func (r *rig) actions() map[string]func(*rapid.T) {
	all := map[string]func(*rapid.T){
		"":            func(rt *rapid.T) { r.compare(rt) },
		"record":      r.record,
		"success":     r.success,
		"record end":  r.recordEnd,
		"time passes": r.pass,
		"ring":        r.ring,
		"ring 2":      r.ring,
		"take back":   r.takeBack,
		"claim":       r.claim,
		"claim 2":     r.claim,
		"action":      r.action,
		"settings":    r.settings,
		"switch":      r.switches,
		"read":        r.read,
		"forge says":  r.prState,
		"onward":      r.onward,
		"onward 2":    r.onward,
		"onward 3":    r.onward,
		"onward 4":    r.onward,
	}
	for name, f := range r.writes() {
		all[name] = func(rt *rapid.T) {
			key, fence := r.some(rt)
			g := f(rt)
			r.both(rt, fmt.Sprintf("%s %s fence %d", name, key, fence), func(s *side) string { return s.verdict(g(s, s.ids[key], fence)) })
		}
	}
	return all
}

// event draws a pipeline as one of the events that tell of it may know it.
func event(rt *rapid.T) ci.Failure {
	f := failure(rapid.IntRange(1, 2).Draw(rt, "repository"), rapid.IntRange(1, 3).Draw(rt, "commit"))
	switch rapid.IntRange(0, 3).Draw(rt, "event") {
	case 0: // of a job, which knows only a name
		f.Workflow, f.Claims, f.SameAs = "CI", []string{"jname:CI"}, []string{"wname:CI"}
	case 1:
		f.Claims, f.SameAs = []string{"run:7", "wname:CI"}, []string{"run:7", "jname:CI"}
	case 2:
		f.Workflow, f.Claims, f.SameAs = "run 7", []string{"run:7"}, []string{"run:7"}
	}
	if minutes := rapid.IntRange(0, 3).Draw(rt, "ended"); minutes > 0 {
		f.FinishedAt = epoch.Add(time.Duration(minutes) * time.Minute)
	}
	return f
}

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func (r *rig) success(rt *rapid.T) {
	f, d := event(rt), delivery(rt)
	r.both(rt, "record "+d.ID+" success "+f.RunKey(), func(s *side) string {
		rec, err := s.RecordSuccess(ctx, d, f)
		var ended []string
		for _, id := range rec.Superseded {
			ended = append(ended, s.key(id))
		}
		slices.Sort(ended)
		return fmt.Sprint(rec.Outcome, rec.Reason, rec.Known, s.key(rec.RunID), ended, s.verdict(err))
	})
}

func (r *rig) record(rt *rapid.T) {
	f := event(rt)
	d, delay := delivery(rt), hours(rt, "delay")
	r.both(rt, "record "+d.ID+" "+f.RunKey(), func(s *side) string {
		rec, err := s.RecordFailure(ctx, d, f, store.Start{Reason: run.WaitNew, Delay: delay}, "")
		if rec.Outcome == store.OutcomeRun && !rec.Known {
			s.ids[f.RunKey()] = rec.RunID
		}
		return fmt.Sprint(rec.Outcome, rec.Reason, rec.Known, s.key(rec.RunID), len(rec.Superseded), s.verdict(err))
	})
	if r.double.ids[f.RunKey()] != 0 && !slices.Contains(r.keys, f.RunKey()) {
		r.keys = append(r.keys, f.RunKey())
	}
}

func delivery(rt *rapid.T) store.Delivery {
	n := rapid.IntRange(1, 12).Draw(rt, "delivery")
	body := fmt.Sprint("body", n%8) // an id always comes with its own body; two ids may share one
	return store.Delivery{Provider: "github", ID: fmt.Sprint("d", n), Event: "workflow_run", BodySHA256: strings.TrimPrefix(patch.Digest([]byte(body)), "sha256:"), ReceivedAt: time.Now().Truncate(time.Microsecond)}
}

func (r *rig) recordEnd(rt *rapid.T) {
	d := delivery(rt)
	outcome := rapid.SampledFrom([]string{store.OutcomeIgnored, store.OutcomeDead}).Draw(rt, "outcome")
	r.both(rt, "record "+d.ID+" "+outcome, func(s *side) string {
		rec, err := s.RecordEnd(ctx, d, outcome, "why")
		return fmt.Sprint(rec.Outcome, rec.Reason, rec.Known, s.key(rec.RunID), s.verdict(err))
	})
}

func (r *rig) pass(rt *rapid.T) {
	minutes := 61 * rapid.IntRange(1, 2).Draw(rt, "hours")
	if _, err := r.st.Pool().Exec(ctx, fmt.Sprintf(pass, minutes)); err != nil {
		rt.Fatal(err)
	}
	r.ahead += time.Duration(minutes) * time.Minute
}

func (r *rig) ring(rt *rapid.T) {
	limit := rapid.IntRange(1, 2).Draw(rt, "limit")
	kind := rapid.SampledFrom([]string{"due", "due", "due", "again", "fixed", "fixed"}).Draw(rt, "kind")
	r.both(rt, "ring "+kind, func(s *side) string {
		var runs []store.Run
		var err error
		switch kind {
		case "due":
			if _, err = s.real().MendTurns(ctx, limit); err == nil {
				runs, err = s.RingDue(ctx, limit, 100)
			}
		case "again":
			runs, err = s.RingAgain(ctx, 30*time.Minute, 100)
		default:
			runs, err = s.RingFixed(ctx, 30*time.Minute, 100)
		}
		return s.keys(runs) + s.verdict(err)
	})
}

func (r *rig) takeBack(rt *rapid.T) {
	l := limits(rt)
	r.both(rt, "take back", func(s *side) string {
		runs, err := s.TakeBack(ctx, l, 100)
		return s.keys(runs) + s.verdict(err)
	})
}

func (r *rig) claim(rt *rapid.T) {
	key, fence := r.some(rt)
	l, holder, ttl := limits(rt), rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "holder"), time.Hour+hours(rt, "ttl")
	publication := rapid.Bool().Draw(rt, "publication")
	r.both(rt, fmt.Sprintf("claim %s fence %d publication %t", key, fence, publication), func(s *side) string {
		var got store.Run
		var refused string
		var err error
		if publication {
			got, refused, err = s.ClaimPublication(ctx, s.ids[key], fence, holder, ttl)
		} else {
			got, refused, err = s.ClaimRun(ctx, store.Claim{RunID: s.ids[key], Fence: fence, Holder: holder, TTL: ttl, Limits: l})
		}
		return fmt.Sprint(got.RunKey, got.Fence, got.AttemptCount, refused, s.verdict(err))
	})
}

func (r *rig) writes() map[string]func(*rapid.T) func(s *side, id, fence int64) error {
	fp := rapid.SampledFrom([]string{"", "f1", "f1", "f2"})
	url := rapid.SampledFrom([]string{"", "https://forge/1", "https://forge/2"})
	return map[string]func(*rapid.T) func(s *side, id, fence int64) error{
		"defer": func(rt *rapid.T) func(*side, int64, int64) error {
			d := hours(rt, "delay")
			return func(s *side, id, fence int64) error { return s.Defer(ctx, id, fence, run.WaitNoSlot, d) }
		},
		"renew": func(rt *rapid.T) func(*side, int64, int64) error {
			h := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "holder")
			return func(s *side, id, fence int64) error { return s.Renew(ctx, id, fence, h, time.Hour) }
		},
		"end run": func(rt *rapid.T) func(*side, int64, int64) error {
			e := store.End{State: run.Declined, Reason: "no_fixer", Explanation: "no", Fingerprint: fp.Draw(rt, "fingerprint")}
			return func(s *side, id, fence int64) error { return s.EndRun(ctx, id, fence, e) }
		},
		"save fix": func(rt *rapid.T) func(*side, int64, int64) error {
			f := fix(fp.Draw(rt, "fingerprint"))
			return func(s *side, id, fence int64) error { return s.SaveFix(ctx, id, fence, f) }
		},
		"save fix 2": func(rt *rapid.T) func(*side, int64, int64) error {
			f := fix(fp.Draw(rt, "fingerprint"))
			return func(s *side, id, fence int64) error { return s.SaveFix(ctx, id, fence, f) }
		},
		"give back": func(rt *rapid.T) func(*side, int64, int64) error {
			g := store.GiveBack{Reason: "dependency", Explanation: "away", Delay: hours(rt, "delay"), Transient: rapid.Bool().Draw(rt, "transient")}
			return func(s *side, id, fence int64) error { return s.GiveBack(ctx, id, fence, g) }
		},
		"give back publication": func(rt *rapid.T) func(*side, int64, int64) error {
			g := store.GiveBack{Reason: "dependency", Explanation: "away", Delay: hours(rt, "delay"), Transient: rapid.Bool().Draw(rt, "transient")}
			return func(s *side, id, fence int64) error { return s.GiveBackPublication(ctx, id, fence, g) }
		},
		"intend": func(rt *rapid.T) func(*side, int64, int64) error {
			commit := fmt.Sprintf("%040d", rapid.IntRange(1, 2).Draw(rt, "commit"))
			incident := rapid.SampledFrom([]string{"", "", "x", "y"}).Draw(rt, "incident")
			caps := store.Caps{Open: rapid.IntRange(0, 2).Draw(rt, "open"), PerHour: rapid.IntRange(0, 2).Draw(rt, "an hour")}
			return func(s *side, id, fence int64) error {
				row, _ := s.Run(ctx, id)
				i := store.Intent{Digest: "d", Branch: "sre-agent/x", BaseBranch: "main", CommitID: commit}
				if row.Fingerprint != nil {
					i.Fingerprint = *row.Fingerprint
				}
				i.Incident, i.Window, i.Caps = incident, time.Hour, caps
				p, err := s.Intend(ctx, id, fence, i)
				if err == nil && p.CommitID == "" {
					return errors.New("an intent without a commit")
				}
				return err
			}
		},
		"wait for a cap": func(rt *rapid.T) func(*side, int64, int64) error {
			g := store.GiveBack{Reason: run.WaitPRCap, Explanation: "full", Delay: hours(rt, "delay")}
			return func(s *side, id, fence int64) error { return s.GiveBackPublication(ctx, id, fence, g) }
		},
		"resume": func(*rapid.T) func(*side, int64, int64) error {
			return func(s *side, id, fence int64) error {
				got, resumed, err := s.ResumeFix(ctx, id, fence)
				if err == nil && resumed != (got.State == "fixed") {
					return errors.New("resumed, and not fixed")
				}
				if err == nil && !resumed {
					return store.ErrFenced
				}
				return err
			}
		},
		"follow": func(rt *rapid.T) func(*side, int64, int64) error {
			leader := rapid.SampledFrom(r.keys).Draw(rt, "leader")
			return func(s *side, id, fence int64) error {
				return s.Follow(ctx, id, fence, s.ids[leader], store.End{State: run.Superseded, Reason: "incident"})
			}
		},
		"intend suggestion": func(rt *rapid.T) func(*side, int64, int64) error {
			n := store.Suggestion{Digest: "d", PRNumber: 1, PRURL: cmp.Or(url.Draw(rt, "url"), "https://forge/3"), Mark: strings.Repeat("a", 32)}
			return func(s *side, id, fence int64) error { _, err := s.IntendSuggestion(ctx, id, fence, n); return err }
		},
		"suggest": func(*rapid.T) func(*side, int64, int64) error {
			return func(s *side, id, fence int64) error {
				return s.Suggest(ctx, id, fence, store.SuggestionPosted, "1", store.End{State: run.Published, Reason: "suggested"})
			}
		},
		"pushed": func(*rapid.T) func(*side, int64, int64) error {
			return func(s *side, id, fence int64) error { return s.Pushed(ctx, id, fence) }
		},
		"publish": func(rt *rapid.T) func(*side, int64, int64) error {
			r := store.Receipt{State: store.PubOpened, Number: 1, URL: cmp.Or(url.Draw(rt, "url"), "https://forge/3"), Merged: rapid.Bool().Draw(rt, "merged")}
			return func(s *side, id, fence int64) error {
				return s.Publish(ctx, id, fence, r, store.End{State: run.Published})
			}
		},
		"refuse": func(rt *rapid.T) func(*side, int64, int64) error {
			u := url.Draw(rt, "url")
			e := store.End{State: run.Blocked, Reason: "pull_request_closed"}
			return func(s *side, id, fence int64) error {
				if row, err := s.Run(ctx, id); err != nil || run.State(row.State) == run.Running {
					return err // only a publisher refuses
				}
				return s.Refuse(ctx, id, fence, e, u)
			}
		},
	}
}

func fix(fingerprint string) store.Fix {
	diff := []byte("diff")
	return store.Fix{BaseCommit: fmt.Sprintf("%040d", 1), Diff: diff, Digest: patch.Digest(diff), Fixer: "f", Title: "t", Explanation: "e", Fingerprint: fingerprint}
}

func (r *rig) action(rt *rapid.T) {
	key, _ := r.some(rt)
	by := who(rt)
	what := rapid.SampledFrom([]string{"cancel", "retry", "unblock"}).Draw(rt, "action")
	r.both(rt, what+" "+key, func(s *side) string {
		var err error
		switch what {
		case "cancel":
			_, err = s.CancelRun(ctx, s.ids[key], by)
		case "retry":
			_, err = s.RetryRun(ctx, s.ids[key], by)
		default:
			_, err = s.UnblockRun(ctx, s.ids[key], by)
		}
		return s.verdict(err)
	})
}

// who draws the person behind an action, who now and then gives no reason.
func who(rt *rapid.T) store.Actor {
	return store.Actor{Who: "w", Why: rapid.SampledFrom([]string{"y", "y", "y", ""}).Draw(rt, "why")}
}

// settings pauses and narrows a repository, and more often takes that back.
func (r *rig) settings(rt *rapid.T) {
	key, _ := r.some(rt)
	by := who(rt)
	set := store.RepositorySettings{
		ConcurrencyLimit: rapid.IntRange(0, 2).Draw(rt, "own limit"), Mode: rapid.SampledFrom([]string{"", "", "shadow", "suggest", "pr"}).Draw(rt, "mode"),
	}
	operation := store.OpResume
	if rapid.IntRange(0, 3).Draw(rt, "pause") == 0 {
		set.PausedAt, operation = &epoch, store.OpPause
	}
	r.both(rt, fmt.Sprintf("%s %s %d %q", operation, key, set.ConcurrencyLimit, set.Mode), func(s *side) string {
		row, _ := s.Run(ctx, s.ids[key])
		before, after, err := s.ChangeRepository(ctx, row.RepositoryID, operation, by, func(to *store.RepositorySettings) { *to = set })
		if err != nil {
			return s.verdict(err)
		}
		return fmt.Sprint(before.PausedAt != nil, before.ConcurrencyLimit, before.Mode, after.PausedAt != nil, after.ConcurrencyLimit, after.Mode)
	})
}

// switches switches a repository off, and more often on.
func (r *rig) switches(rt *rapid.T) {
	key, _ := r.some(rt)
	by, on := who(rt), rapid.IntRange(0, 2).Draw(rt, "on") > 0
	r.both(rt, fmt.Sprintf("switch %s on %t", key, on), func(s *side) string {
		row, _ := s.Run(ctx, s.ids[key])
		changed, err := s.Switch(ctx, row.RepositoryID, on, by)
		return fmt.Sprint(changed, s.verdict(err))
	})
}

func (r *rig) read(rt *rapid.T) {
	key, _ := r.some(rt)
	fp := rapid.SampledFrom([]string{"", "f1", "f2"}).Draw(rt, "fingerprint")
	r.both(rt, "read "+key+" "+fp, func(s *side) string {
		p, perr := s.Publication(ctx, s.ids[key])
		f, ferr := s.Fix(ctx, s.ids[key])
		url, uerr := s.Refused(ctx, fp)
		n, nerr := s.Merged(ctx, fp)
		closed, cerr := s.ClosedPublications(ctx, fp, 2)
		row, _ := s.Run(ctx, s.ids[key])
		open, oerr := s.OpenPublications(ctx, row.RepositoryID, 2)
		liked, lerr := s.Acceptance(ctx, row.RepositoryID, "", 30)
		mode, merr := s.RepositoryMode(ctx, row.RepositoryID)
		off, offerr := s.SwitchedOff(ctx, s.ids[key])
		known, kerr := s.KnownDeliveries(ctx, "github", []string{"d1", "d2", "d99"})
		_, missing := s.Run(ctx, 1<<40)
		return fmt.Sprint(p != nil, s.verdict(perr), f.Digest, f.Generation, s.verdict(ferr), url, s.verdict(uerr), n, s.verdict(nerr), len(closed), s.verdict(cerr), len(open), s.verdict(oerr), liked, s.verdict(lerr), mode, s.verdict(merr), off != nil, s.verdict(offerr), known, s.verdict(kerr), s.verdict(missing))
	})
}

func (r *rig) prState(rt *rapid.T) {
	key, _ := r.some(rt)
	state := rapid.SampledFrom([]string{store.PROpen, store.PRClosed, store.PRMerged}).Draw(rt, "state")
	r.both(rt, "the pull request of "+key+" is "+state, func(s *side) string {
		p, err := s.Publication(ctx, s.ids[key])
		if err != nil || p == nil {
			return "none"
		}
		return s.verdict(s.SetPRState(ctx, *p, state))
	})
}
