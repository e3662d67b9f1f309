// Gendoc writes docs/metrics.md to standard output.
package main

import (
	"fmt"
	"os"

	"github.com/sre-agent/sre-agent/internal/telemetry"
)

func main() {
	if _, err := fmt.Print(telemetry.Markdown()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
