package main

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/program"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			a.terminal().printf("sre-agent %s %s %s/%s\n", program.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		},
	}
}
