// Package jenkins reads a failed Jenkins build and its console text from the remote access API.
//
// A build of Jenkins is one job with one log; a matrix project's build is several. Sources:
// jenkins.io/doc/book/using/remote-access-api (api/json, tree), jenkins.io/doc/book/system-administration/
// authenticating-scripted-clients (user and API token by basic authentication), and core's Run.doConsoleText
// (javadoc.jenkins.io/hudson/model/Run.html), which streams the whole log as text.
package jenkins

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
	"github.com/sre-agent/sre-agent/internal/joblog"
)

// Source is one Jenkins to read from.
type Source struct{ api *httpapi.Client }

// New returns a source. The token is "user:API token".
func New(a joblog.API) *Source { return &Source{api: a.Client(httpapi.Basic, "application/json")} }

// build is what is asked of a build; runs are the builds of a matrix project's axes.
type build struct {
	Number int64   `json:"number"`
	Result string  `json:"result"`
	URL    string  `json:"url"`
	Runs   []build `json:"runs"`
}

const tree = "number,result,url,runs[number,result,url]"

// FailedJobs gives the build itself, or the axes of a matrix build that failed.
func (s *Source) FailedJobs(ctx context.Context, f ci.Failure) ([]joblog.Job, error) {
	b, err := s.build(ctx, f, f.RunID)
	if err != nil {
		return nil, fmt.Errorf("list failed jobs: %w", err)
	}
	if axes := b.axes(f, "FAILURE"); len(axes) > 0 {
		return axes, nil
	}
	if b.Result != "FAILURE" {
		return nil, nil
	}
	return []joblog.Job{b.whole(f)}, nil
}

func (s *Source) build(ctx context.Context, f ci.Failure, number string) (build, error) {
	var b build
	path, err := pathOf(f.Workflow, number, "api", "json")
	if err != nil {
		return b, err
	}
	_, err = s.api.Get(ctx, path, url.Values{"tree": {tree}}, &b)
	return b, err
}

// pathOf makes a path from a job's own, "job/folder/job/name", whose names are escaped already.
func pathOf(workflow string, segments ...string) (string, error) {
	parts := strings.Split(workflow, "/")
	for i, part := range parts {
		name, err := url.PathUnescape(part)
		if err != nil || len(parts)%2 != 0 || i%2 == 0 && name != "job" {
			return "", fault.Permf("invalid_name", "the job's path is not job/name")
		}
		parts[i] = name
	}
	return httpapi.Path(append(parts, segments...)...)
}

func (b build) whole(f ci.Failure) joblog.Job {
	number := strconv.FormatInt(b.Number, 10)
	return joblog.Job{ID: number, Run: number, Name: cmp.Or(f.WorkflowName, f.Workflow), Conclusion: b.Result, URL: cmp.Or(b.URL, f.RunURL)}
}

// axes are the builds of a matrix that ended so. One that was not built anew has an older number, and is left out.
func (b build) axes(f ci.Failure, result string) []joblog.Job {
	var jobs []joblog.Job
	for _, r := range b.Runs {
		axis := axisOf(f.Workflow, r.URL)
		if r.Result != result || r.Number != b.Number || axis == "" {
			continue
		}
		job := r.whole(f)
		job.ID, job.Name = axis+"/"+job.ID, job.Name+" ("+axis+")"
		jobs = append(jobs, job)
	}
	return jobs
}

// axisOf reads "OS=linux,GO=1.26" from the address of an axis's build. Of the address nothing else is used.
func axisOf(workflow, address string) string {
	_, rest, found := strings.Cut(address, "/"+workflow+"/")
	axis, _, more := strings.Cut(rest, "/")
	axis, err := url.PathUnescape(axis)
	if !found || !more || err != nil || !strings.Contains(axis, "=") {
		return ""
	}
	return axis
}

// Log reads a build's console text.
func (s *Source) Log(ctx context.Context, f ci.Failure, job joblog.Job, limit int64) (text []byte, truncated bool, err error) {
	path, err := pathOf(f.Workflow, append(strings.Split(job.ID, "/"), "consoleText")...)
	if err != nil {
		return nil, false, fmt.Errorf("read job log: %w", err)
	}
	return joblog.Read(ctx, s.api, path, nil, limit)
}

// LastGreen gives the job's last stable build, which is one without a failure and without a failed test. A branch of a
// multibranch project is a job of its own, so the build is of the same branch.
func (s *Source) LastGreen(ctx context.Context, f ci.Failure, job joblog.Job) (joblog.Job, bool, error) {
	b, err := s.build(ctx, f, "lastStableBuild")
	if reason, _ := fault.Reason(err); reason == "not_found" {
		return joblog.Job{}, false, nil
	}
	if err != nil {
		return joblog.Job{}, false, fmt.Errorf("last stable build: %w", err)
	}
	green, ok := joblog.Named(slices.Concat(b.axes(f, "SUCCESS"), []joblog.Job{b.whole(f)}), job.Name)
	return green, ok, nil
}
