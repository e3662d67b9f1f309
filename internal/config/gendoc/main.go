// Gendoc writes docs/configuration.md to standard output.
package main

import (
	"fmt"
	"os"

	"github.com/sre-agent/sre-agent/internal/config"
)

func main() {
	if _, err := fmt.Print(config.Markdown()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
