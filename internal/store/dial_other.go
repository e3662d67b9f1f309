//go:build !linux

package store

import "syscall"

// limitUnacknowledged does nothing here: the deadline of each call bounds it.
func limitUnacknowledged(string, string, syscall.RawConn) error { return nil }
