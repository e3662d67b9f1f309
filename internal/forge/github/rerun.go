package github

import (
	"context"
	"fmt"
	"net/http"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

// CIRun returns a workflow run as it is now, with its latest attempt.
func (c *Client) CIRun(ctx context.Context, owner, name, runID string) (forge.CIRun, error) {
	path, err := httpapi.Path("repos", owner, name, "actions", "runs", runID)
	if err != nil {
		return forge.CIRun{}, fmt.Errorf("read workflow run: %w", err)
	}
	var got struct {
		HeadSHA    string `json:"head_sha"`
		RunAttempt int    `json:"run_attempt"`
		Status     string `json:"status"`
		Conclusion string `json:"conclusion"`
	}
	if _, err := c.get(ctx, owner, name, path, nil, &got); err != nil {
		return forge.CIRun{}, fmt.Errorf("read workflow run %s: %w", runID, err)
	}
	return forge.CIRun{
		Commit: got.HeadSHA, Attempt: got.RunAttempt, Completed: got.Status == "completed", Passed: got.Conclusion == "success",
	}, nil
}

// RerunFailed has the failed jobs of a workflow run, and those that depend on them, run again. The token needs the
// permission Actions, write.
func (c *Client) RerunFailed(ctx context.Context, owner, name, runID string) error {
	path, err := httpapi.Path("repos", owner, name, "actions", "runs", runID, "rerun-failed-jobs")
	if err != nil {
		return fmt.Errorf("rerun failed jobs: %w", err)
	}
	if err := c.write(ctx, owner, name, http.MethodPost, path, map[string]any{}, &struct{}{}); err != nil {
		return fmt.Errorf("rerun failed jobs of run %s: %w", runID, err)
	}
	return nil
}
