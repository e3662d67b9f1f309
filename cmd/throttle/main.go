// Command throttle records deliveries and decides when a run may start.
package main

import (
	"os"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/services/throttle"
)

func main() { os.Exit(program.Main(config.Throttle, throttle.Serve)) }
