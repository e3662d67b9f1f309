package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

func notFound(err error) bool {
	reason, _ := fault.Reason(err)
	return reason == "not_found"
}

func repositoryFault(err error) error {
	if notFound(err) {
		return fault.Perm("repository_not_found", err)
	}
	return err
}

// missing makes of a 404 the error that says what is not there. A missing repository and a missing thing in it are both
// 404, and so is what our token may not see; ask, instead of trusting a message.
func (c *Client) missing(ctx context.Context, owner, name string, err, thing error) error {
	if !notFound(err) {
		return err
	}
	if _, err := c.Repository(ctx, owner, name); err != nil {
		return err
	}
	return thing
}

// writeFault gives GitHub's refusals of a write the names that callers branch on.
func writeFault(err error) error {
	var se *httpapi.StatusError
	if !errors.As(err, &se) {
		return err
	}
	switch se.Status {
	case http.StatusForbidden:
		if strings.Contains(strings.ToLower(se.Message), "archived") {
			return fault.Perm("repository_archived", err)
		}
	case http.StatusGone:
		return fault.Perm("pull_requests_disabled", err)
	case http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity:
		return fault.Perm("pull_request_rejected", err)
	}
	return err
}

// createFault is writeFault for a new pull request, with what is said of its head and base.
func createFault(err error) error {
	var se *httpapi.StatusError
	if !errors.As(err, &se) || se.Status != http.StatusUnprocessableEntity {
		return writeFault(repositoryFault(err))
	}
	for _, d := range append(se.Errors, httpapi.Detail{Message: se.Message}) {
		text := strings.ToLower(d.Message)
		switch {
		case strings.Contains(text, "a pull request already exists"):
			return fmt.Errorf("%w (%w)", forge.ErrExists, se)
		case strings.Contains(text, "no commits between"):
			return fault.Perm("no_commits_between", err)
		case d.Field == "base" && (d.Code == "invalid" || strings.HasPrefix(d.Code, "missing")):
			return fault.Perm("base_branch_missing", err)
		case d.Field == "head" && (d.Code == "invalid" || strings.HasPrefix(d.Code, "missing")):
			// The caller has just pushed it: GitHub's API now and then sees a push a moment late.
			return &httpapi.RetryError{Op: se.Op, Status: se.Status, After: headDelay, Message: "the forge does not see the head branch yet"}
		}
	}
	return fault.Perm("pull_request_rejected", err)
}
