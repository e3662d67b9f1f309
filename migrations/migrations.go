// Package migrations holds the database schema as embedded SQL, applied in order by internal/store.
package migrations

import "embed"

// Files are the migrations, named NNNNN_what.sql in goose's format.
//
//go:embed *.sql
var Files embed.FS
