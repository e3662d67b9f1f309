package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/internal/chaos"
	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/demo"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
	"github.com/sre-agent/sre-agent/services/publisher"
)

// parcel is one request of the generator.
type parcel struct {
	at     time.Duration
	id     string
	event  string
	body   []byte
	runKey string
	// spoil makes the request one that must be refused.
	spoil func(*http.Request)
}

// load is what one round sends, and what became of it.
type load struct {
	parcels  []parcel
	failures []chaos.Failure
	repos    []string
	acts     []act

	mu     sync.Mutex
	sent   map[string]chaos.Sent
	broken []string
	// repeats are the answers that a delivery is known already, and the tries that were not answered.
	repeats []chaos.Entry
}

const ugly = "package main\n\nfunc  Greet( ) string {return \"hello\"}\n\nfunc main() { println(Greet()) }\n"

// loader makes the repositories and deliveries of rounds.
type loader struct {
	s     *system
	next  int64 // the next CI run's id
	round int
}

// prepare makes the load of a round by its seed: four to eight failures of two or three repositories, and what else
// comes by a webhook.
func (l *loader) prepare(ctx context.Context, seed uint64) (*load, error) {
	r := rand.New(rand.NewPCG(seed, 2))
	out := &load{sent: map[string]chaos.Sent{}}
	l.round++
	for n := range 2 + r.IntN(2) {
		if err := l.repository(ctx, r, out, fmt.Sprintf("r%d-%c", l.round, 'a'+n), 2+r.IntN(2)); err != nil {
			return nil, err
		}
	}
	if r.IntN(3) == 0 {
		if err := l.moving(ctx, r, out, fmt.Sprintf("r%d-moving", l.round)); err != nil {
			return nil, err
		}
	}
	l.others(r, out)
	return out, nil
}

// repository makes a repository whose head is red in several workflows.
func (l *loader) repository(ctx context.Context, r *rand.Rand, out *load, name string, failures int) error {
	repo, sha, err := l.create(ctx, r, name)
	if err != nil {
		return err
	}
	out.repos = append(out.repos, demo.Owner+"/"+name)
	acts := owners(r, demo.Owner+"/"+name)
	out.acts = append(out.acts, acts...)
	fixable := len(acts) == 0 || !acts[0].off
	for n := range failures {
		if err := l.failure(r, out, repo, sha, n, fixable, moment(r)); err != nil {
			return err
		}
		if r.IntN(8) != 0 {
			continue
		}
		// A person has a branch of the name that the fix would be pushed to.
		last := &out.failures[len(out.failures)-1]
		if last.Foreign, err = l.foreign(ctx, name, sha, publisher.Branch(failed(repo, sha, n), 1)); err != nil {
			return err
		}
		last.Fixable = false
	}
	return nil
}

func workflow(n int) string     { return fmt.Sprintf("Check %d", n) }
func workflowFile(n int) string { return fmt.Sprintf(".github/workflows/check-%d.yml", n) }

// failed is as much of a failure as its key and its branch are made of.
func failed(repo forgetest.Repo, sha string, n int) ci.Failure {
	return ci.Failure{
		Provider: "github", Repository: ci.Repository{ID: strconv.FormatInt(repo.ID, 10)}, Commit: sha, Workflow: workflowFile(n), WorkflowName: workflow(n),
	}
}

// moving makes a repository that gets a second red commit while the first one is worked on: the same workflow, and so
// the same fingerprint.
func (l *loader) moving(ctx context.Context, r *rand.Rand, out *load, name string) error {
	repo, sha, err := l.create(ctx, r, name)
	if err != nil {
		return err
	}
	out.repos = append(out.repos, demo.Owner+"/"+name)
	if err := l.failure(r, out, repo, sha, 0, false, 0); err != nil {
		return err
	}
	at := time.Second + moment(r)/2
	tree, bare := l.paths(name)
	second, err := commit(ctx, tree, bare, "next", map[string]string{"README.md": "more\n"})
	if err != nil {
		return err
	}
	timer := time.AfterFunc(at, func() {
		if _, err := git(ctx, bare, nil, nil, "update-ref", "refs/heads/"+demo.Branch, second); err != nil {
			l.s.timeline.note("move %s: %v", name, err)
		}
	})
	context.AfterFunc(ctx, func() { timer.Stop() })
	return l.failure(r, out, repo, second, 0, false, at+100*time.Millisecond)
}

func (l *loader) paths(name string) (tree, bare string) {
	return filepath.Join(l.s.dir, "trees", name), filepath.Join(l.s.dir, "scene", "forge", demo.Owner, name+".git")
}

func (l *loader) create(ctx context.Context, r *rand.Rand, name string) (forgetest.Repo, string, error) {
	repo, err := l.s.scene.Forge.CreateRepo(demo.Owner, name, demo.Branch)
	if err != nil {
		return repo, "", err
	}
	tree, bare := l.paths(name)
	sha, err := commit(ctx, tree, bare, demo.Branch, map[string]string{
		"go.mod": "module example.com/" + name + "\n\ngo 1.22\n", "main.go": ugly,
		".sre-agent.yaml": fmt.Sprintf(settingsFile, 0.2+r.Float64()),
	})
	return repo, sha, err
}

// failure makes a workflow red, with the deliveries about it: re-runs, the same delivery and the same body again.
func (l *loader) failure(r *rand.Rand, out *load, repo forgetest.Repo, sha string, n int, fixable bool, at time.Duration) error {
	l.next++
	p := githubtest.Params{
		RepositoryID: repo.ID, Owner: repo.Owner, Name: repo.Name, CloneURL: repo.CloneURL, WebURL: repo.WebURL,
		DefaultBranch: demo.Branch, Branch: demo.Branch, SHA: sha, WorkflowName: workflow(n), RunID: demo.RunID + 1000 + l.next, SuiteID: demo.RunID + 1000 + l.next,
		Attempt: 1, Actor: "dev", Workflow: workflowFile(n),
	}
	for attempt := 1; attempt <= 2; attempt++ {
		if _, err := l.s.scene.Forge.AddJob(repo.Owner, repo.Name, p.RunID, attempt, forgetest.Job{Name: demo.JobName, Conclusion: "failure"}, l.log()); err != nil {
			return err
		}
	}
	key := failed(repo, sha, n).RunKey()
	out.failures = append(out.failures, chaos.Failure{RunKey: key, Fixable: fixable})
	first := parcel{at: at, id: l.id(), event: "workflow_run", body: githubtest.FailedRun(p), runKey: key}
	out.parcels = append(out.parcels, first)
	if r.IntN(2) == 0 {
		again := first
		again.at += moment(r) / 4
		out.parcels = append(out.parcels, again)
	}
	if r.IntN(3) == 0 {
		replay := first
		replay.id, replay.at = l.id(), first.at+moment(r)/4
		out.parcels = append(out.parcels, replay)
	}
	if r.IntN(3) == 0 {
		p.Attempt = 2
		out.parcels = append(out.parcels, parcel{at: at + moment(r)/2, id: l.id(), event: "workflow_run", body: githubtest.FailedRun(p), runKey: key})
	}
	return nil
}

// foreign is a person's commit on a new branch.
func (l *loader) foreign(ctx context.Context, name, parent, branch string) (string, error) {
	_, bare := l.paths(name)
	id, err := git(ctx, bare, nil, nil, "commit-tree", "-p", parent, "-m", "mine", parent+"^{tree}")
	if err != nil {
		return "", err
	}
	_, err = git(ctx, bare, nil, nil, "update-ref", "refs/heads/"+branch, id)
	return id, err
}

// log is the failed job's log. It holds the read token, as a careless workflow's would.
func (l *loader) log() string {
	const at = "2026-11-23T12:00:00.0000000Z "
	lines := []string{
		"##[group]Run " + demo.CheckCommand, "shell: /usr/bin/bash -e {0}", "##[endgroup]", "token: " + l.s.secrets["the read token"],
		"main.go", "##[error]Process completed with exit code 1.",
	}
	return at + strings.Join(lines, "\n"+at) + "\n"
}

// others are events that ask for nothing, and requests that must be refused.
func (l *loader) others(r *rand.Rand, out *load) {
	add := func(event string, body []byte, spoil func(*http.Request)) {
		out.parcels = append(out.parcels, parcel{at: moment(r), id: l.id(), event: event, body: body, spoil: spoil})
	}
	for range 1 + r.IntN(3) {
		switch r.IntN(4) {
		case 0:
			add("push", githubtest.Example(githubtest.Push), nil)
		case 1:
			add("workflow_run", githubtest.Example(githubtest.WorkflowRunSuccess), nil)
		case 2:
			add("some_new_event", fmt.Appendf(nil, `{"hello":%d}`, r.Int64()), nil)
		case 3:
			add("workflow_run", fmt.Appendf(nil, `{"action":"completed","n":%d}`, r.Int64()), nil) // dead: malformed
		}
	}
	for range 1 + r.IntN(2) {
		switch r.IntN(3) {
		case 0:
			add("push", githubtest.Example(githubtest.Push), func(req *http.Request) {
				req.Header.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("ab", 32))
			})
		case 1:
			add("push", githubtest.Example(githubtest.Push), func(req *http.Request) { req.Header.Del("X-Hub-Signature-256") })
		case 2:
			add("push", []byte("not JSON"), func(*http.Request) {})
		}
	}
}

func (l *loader) id() string {
	l.next++
	return fmt.Sprintf("chaos-%08d", l.next)
}

// moment is when something happens within a round.
func moment(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(5 * time.Second))) }

// send sends all parcels, each until it is answered 2xx or 4xx, as somebody who redelivers failed deliveries does.
func (l *load) send(ctx context.Context, base, secret string) {
	client := &http.Client{Timeout: 9 * time.Second}
	var wg sync.WaitGroup
	for _, p := range l.parcels {
		wg.Go(func() {
			if !wait(ctx, p.at) {
				return
			}
			for status := 0; ; {
				if status = l.try(ctx, client, base, secret, p); status/100 == 2 || status/100 == 4 || !wait(ctx, 300*time.Millisecond) {
					return
				}
			}
		})
	}
	wg.Wait()
}

func (l *load) try(ctx context.Context, client *http.Client, base, secret string, p parcel) int {
	req := githubtest.Request(base+"/webhooks/github", secret, p.event, p.id, p.body).WithContext(ctx)
	if p.spoil != nil {
		p.spoil(req)
	}
	res, err := client.Do(req)
	status := 0
	if err == nil {
		status = res.StatusCode
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sent[p.id]
	s.ID, s.RunKey = p.id, p.runKey
	s.Accepted = s.Accepted || status/100 == 2
	s.Rejected = s.Rejected || status/100 == 4
	l.sent[p.id] = s
	if status == http.StatusOK || err != nil {
		l.repeats = append(l.repeats, chaos.Entry{Series: repeated, At: time.Now(), Maybe: err != nil})
	}
	if status/100 == 4 && p.spoil == nil {
		l.broken = append(l.broken, fmt.Sprintf("delivery %s (%s) is well formed and was answered %d", p.id, p.event, status))
	}
	if status/100 == 2 && p.spoil != nil {
		l.broken = append(l.broken, fmt.Sprintf("delivery %s must be refused and was answered %d", p.id, status))
	}
	return status
}

func (l *load) outcome() (sent []chaos.Sent, broken []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sent {
		sent = append(sent, s)
	}
	return sent, l.broken
}
