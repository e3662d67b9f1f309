package plaingit

import (
	"context"

	"github.com/sre-agent/sre-agent/internal/forge"
)

// AddLabels returns forge.ErrUnsupported.
func (c *Client) AddLabels(context.Context, string, string, int, []string) error {
	return forge.ErrUnsupported
}

// ChangedFiles returns forge.ErrUnsupported.
func (c *Client) ChangedFiles(context.Context, string, string, int) ([]forge.FileChange, error) {
	return nil, forge.ErrUnsupported
}

// Comments returns forge.ErrUnsupported.
func (c *Client) Comments(context.Context, string, string, int) ([]forge.Comment, error) {
	return nil, forge.ErrUnsupported
}

// Comment returns forge.ErrUnsupported.
func (c *Client) Comment(context.Context, string, string, int, string) (forge.Comment, error) {
	return forge.Comment{}, forge.ErrUnsupported
}

// EditComment returns forge.ErrUnsupported.
func (c *Client) EditComment(context.Context, string, string, int, string, string) error {
	return forge.ErrUnsupported
}

// Permission returns forge.ErrUnsupported.
func (c *Client) Permission(context.Context, string, string, string) (forge.Permission, error) {
	return forge.NoPermission, forge.ErrUnsupported
}

// CommitChecks returns forge.ErrUnsupported.
func (c *Client) CommitChecks(context.Context, string, string, string) (forge.Checks, error) {
	return forge.ChecksNone, forge.ErrUnsupported
}

// Repository returns forge.ErrUnsupported: git says nothing about a repository but its refs.
func (c *Client) Repository(context.Context, string, string) (forge.Repository, error) {
	return forge.Repository{}, forge.ErrUnsupported
}
