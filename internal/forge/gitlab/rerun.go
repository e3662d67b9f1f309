package gitlab

import (
	"context"
	"fmt"
	"net/http"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// Rerun runs a pipeline's failed and canceled jobs once more (docs.gitlab.com/api/pipelines, "Retry jobs in a pipeline").
func (c *Client) Rerun(ctx context.Context, owner, name, runID string) error {
	path, err := project(owner, name, "pipelines", runID, "retry")
	if err != nil {
		return fmt.Errorf("retry pipeline: %w", err)
	}
	var got struct {
		ID int64 `json:"id"`
	}
	gone := fault.Permf("gone", "there is no such pipeline")
	if err := c.missing(ctx, owner, name, gone, c.write(ctx, http.MethodPost, path, struct{}{}, &got)); err != nil {
		return fmt.Errorf("retry pipeline %s: %w", runID, err)
	}
	return nil
}
