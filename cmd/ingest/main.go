// Command ingest takes webhooks in; it has no database and no forge token.
package main

import (
	"os"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/services/ingest"
)

func main() { os.Exit(program.Main(config.Ingest, ingest.Serve)) }
