// Command publisher opens pull requests; it never runs a repository's code.
package main

import (
	"os"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/services/publisher"
)

func main() { os.Exit(program.Main(config.Publisher, publisher.Serve)) }
