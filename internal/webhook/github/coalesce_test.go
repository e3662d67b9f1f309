package github_test

import (
	"testing"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/github"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

// ledger is as much of the store as coalescing needs: a failure belongs to a run that is known by one of its names,
// and then the run goes by all of them.
type ledger struct {
	runOf map[string]int
	runs  int
}

func (l *ledger) record(f ci.Failure) {
	run := 0
	for _, name := range f.Known() {
		if run = l.runOf[name]; run != 0 {
			break
		}
	}
	if run == 0 {
		l.runs++
		run = l.runs
	}
	for _, name := range f.Names() {
		if l.runOf[name] == 0 {
			l.runOf[name] = run
		}
	}
}

type delivery struct {
	event string
	body  []byte
}

// deliveriesOf are those of one failed run of a workflow with two failed jobs.
func deliveriesOf(p githubtest.Params) []delivery {
	second := p
	second.JobID++
	return []delivery{
		{"workflow_run", githubtest.FailedRun(p)},
		{"workflow_job", githubtest.Job(p)},
		{"workflow_job", githubtest.Job(second)},
		{"check_run", githubtest.Check(p)},
		{"check_run", githubtest.Check(second)},
	}
}

func failures(t *testing.T, deliveries []delivery) []ci.Failure {
	t.Helper()
	var list []ci.Failure
	for _, d := range deliveries {
		e, err := github.Parse(d.event, d.body)
		if err != nil || e.Kind != webhook.Failure {
			t.Fatalf("%s: Parse = %+v, %v", d.event, e, err)
		}
		list = append(list, e.Failure)
	}
	return list
}

// inEveryOrder calls visit with each order of the failures.
func inEveryOrder(list []ci.Failure, visit func([]ci.Failure)) {
	var permute func(n int)
	permute = func(n int) {
		if n == len(list) {
			visit(list)
			return
		}
		for i := n; i < len(list); i++ {
			list[n], list[i] = list[i], list[n]
			permute(n + 1)
			list[n], list[i] = list[i], list[n]
		}
	}
	permute(0)
}

func runsOf(order []ci.Failure) int {
	l := ledger{runOf: map[string]int{}}
	for _, f := range order {
		l.record(f)
	}
	return l.runs
}

func TestTheEventsOfOnePipelineAreOneRunInEveryOrder(t *testing.T) {
	orders := 0
	inEveryOrder(failures(t, deliveriesOf(pipeline())), func(order []ci.Failure) {
		orders++
		if n := runsOf(order); n != 1 {
			t.Errorf("%d runs, in the order %s", n, workflows(order))
		}
	})
	if orders != 120 {
		t.Errorf("%d orders, want 120", orders)
	}
}

func workflows(order []ci.Failure) (list []string) {
	for _, f := range order {
		list = append(list, f.Workflow)
	}
	return list
}

func TestARerunOfThePipelineIsTheSameRunInEveryOrder(t *testing.T) {
	again := with(func(p *githubtest.Params) { p.Attempt, p.JobID = 3, 900 })
	list := append(failures(t, deliveriesOf(pipeline())[:2]), failures(t, deliveriesOf(again)[:4])...)
	inEveryOrder(list, func(order []ci.Failure) {
		if n := runsOf(order); n != 1 {
			t.Errorf("%d runs, in the order %s", n, workflows(order))
		}
	})
}

func TestAPushAndItsPullRequestAreOneRun(t *testing.T) {
	push, pull := pipeline(), with(func(p *githubtest.Params) { p.RunID, p.SuiteID, p.BaseBranch = 124, 457, "trunk" })
	// A job of the one run, and the other run whole: only the display name is common.
	list := append(failures(t, deliveriesOf(push)[1:2]), failures(t, deliveriesOf(pull)[:1])...)
	inEveryOrder(list, func(order []ci.Failure) {
		if n := runsOf(order); n != 1 {
			t.Errorf("%d runs, in the order %s", n, workflows(order))
		}
	})
}

func TestTwoWorkflowFilesOnOneCommitAreTwoRuns(t *testing.T) {
	for name, displayName := range map[string]string{"with two names": "Lint", "with one name": "CI"} {
		t.Run(name, func(t *testing.T) {
			other := with(func(p *githubtest.Params) {
				p.Workflow, p.WorkflowName, p.RunID, p.SuiteID = ".github/workflows/lint.yml", displayName, 124, 457
			})
			list := failures(t, []delivery{deliveriesOf(pipeline())[0], deliveriesOf(other)[0], deliveriesOf(pipeline())[3], deliveriesOf(other)[3]})
			if displayName != "CI" {
				list = append(list, failures(t, []delivery{deliveriesOf(pipeline())[1], deliveriesOf(other)[1]})...)
			}
			inEveryOrder(list, func(order []ci.Failure) {
				if n := runsOf(order); n != 2 {
					t.Errorf("%d runs, in the order %s", n, workflows(order))
				}
			})
		})
	}
}

func TestAnAppsCheckAndItsSuiteAreOneRunAndAnotherAppsIsNot(t *testing.T) {
	app := func(slug string) func(p *githubtest.Params) { return func(p *githubtest.Params) { p.App = slug } }
	list := failures(t, []delivery{
		{"check_run", githubtest.Check(with(app("linter")))},
		{"check_suite", githubtest.Suite(with(app("linter")))},
		{"check_run", githubtest.Check(with(app("scanner")))},
	})
	inEveryOrder(list, func(order []ci.Failure) {
		if n := runsOf(order); n != 2 {
			t.Errorf("%d runs, in the order %s", n, workflows(order))
		}
	})
}
