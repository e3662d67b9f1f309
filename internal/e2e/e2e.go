// Package e2e holds the end-to-end tests: the real programs as processes of their own, on real NATS, PostgreSQL,
// Redis, git and sandbox, against the local forge. It has no code but tests.
package e2e
