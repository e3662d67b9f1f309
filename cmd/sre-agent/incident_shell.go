package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
)

// shellVariables are those that the operator's shell needs.
var shellVariables = []string{"NATS_URL", "DATABASE_URL", "REDIS_URL", "GITHUB_API_URL", controlVariable}

// shell is the environment as a shell reads it.
func (n *incident) shell() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(n.environ)) {
		_, knob := incidentKnobs[name]
		if knob && name != "LOG_FORMAT" || slices.Contains(shellVariables, name) {
			fmt.Fprintf(&b, "export %s='%s'\n", name, strings.ReplaceAll(n.environ[name], "'", `'\''`))
		}
	}
	return b.String()
}

// controlVariable names the socket by which mend is asked for.
const controlVariable = "SRE_AGENT_SCENARIO"

// control lets the operator's shell ask for mend, until ctx ends.
func (n *incident) control(ctx context.Context) error {
	path := filepath.Join(n.dir, "control")
	ln, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return err
	}
	n.environ[controlVariable] = path
	context.AfterFunc(ctx, func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			answer := "ok\n"
			if err := n.mend(ctx); err != nil {
				answer = err.Error() + "\n"
			}
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}()
	return nil
}
