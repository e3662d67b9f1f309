package circleci

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/httpapi"
	"github.com/sre-agent/sre-agent/internal/joblog"
)

// maxActions bounds the outputs that are read for one job; a job has one for each step and parallel container.
const maxActions = 60

// action is one step in one container.
type action struct {
	Step      int    `json:"step"`
	Index     int    `json:"index"`
	Status    string `json:"status"`
	Failed    *bool  `json:"failed"`
	OutputURL string `json:"output_url"`
}

// Log reads what a job's steps put out, one after the other; of a job with very many, the last that there is room for.
func (s *Source) Log(ctx context.Context, _ ci.Failure, job joblog.Job, limit int64) (text []byte, truncated bool, err error) {
	ends, err := joblog.NewEnds(limit)
	if err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, joblog.Timeout)
	defer cancel()
	actions, err := s.actions(ctx, job)
	if err != nil {
		return nil, false, fmt.Errorf("read job log: %w", err)
	}
	for _, a := range actions {
		if err := s.output(ctx, job, a, ends); err != nil {
			return nil, false, fmt.Errorf("read job log: %w", err)
		}
	}
	text, truncated = ends.Text()
	return text, truncated, nil
}

func (s *Source) actions(ctx context.Context, job joblog.Job) ([]action, error) {
	path, err := project("v1.1", job.Run, job.ID)
	if err != nil {
		return nil, err
	}
	var got struct {
		Steps []struct {
			Actions []action `json:"actions"`
		} `json:"steps"`
	}
	if _, err := s.api.Get(ctx, path, nil, &got); err != nil {
		return nil, err
	}
	var all []action
	for _, step := range got.Steps {
		all = append(all, step.Actions...)
	}
	if len(all) > maxActions {
		all = slices.DeleteFunc(all, func(a action) bool { return (a.Failed == nil || !*a.Failed) && !failed(a.Status) })
	}
	return all[max(0, len(all)-maxActions):], nil
}

// output writes one action's output: what it wrote, and where the two come apart what it wrote as errors.
func (s *Source) output(ctx context.Context, job joblog.Job, a action, ends *joblog.Ends) error {
	if a.OutputURL != "" {
		body, err := s.api.GetForeign(ctx, a.OutputURL)
		if err != nil {
			return err
		}
		defer func() { _ = body.Close() }()
		return ends.Copy(s.api, "GET a step's output", newMessages(body))
	}
	for _, kind := range []string{"output", "error"} {
		segments := slices.Concat([]string{"api", "private", "output", "raw"}, strings.Split(job.Run, "/"),
			[]string{job.ID, kind, strconv.Itoa(a.Index), strconv.Itoa(a.Step)})
		path, err := httpapi.Path(segments...)
		if err != nil {
			return err
		}
		if err := s.raw(ctx, path, ends); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) raw(ctx context.Context, path string, ends *joblog.Ends) error {
	body, err := s.api.GetStream(ctx, path, nil, "text/plain")
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	return ends.Copy(s.api, "GET "+path, body)
}
