// Command runner makes and verifies fixes; it can't link code that writes to a forge.
package main

import (
	"os"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/internal/sandbox"
	"github.com/sre-agent/sre-agent/services/runner"
)

func main() {
	sandbox.Inside()
	os.Exit(program.Main(config.Runner, runner.Serve))
}
