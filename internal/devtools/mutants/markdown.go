package main

import (
	"fmt"
	"strings"
)

// The table stands in docs/reliability.md between these lines.
const (
	tableBegin = "<!-- Made by: go run ./internal/devtools/mutants -list -->\n"
	tableEnd   = "<!-- End of the table of guards -->\n"
)

// markdown is the table of guards for the documentation.
func markdown(all []Guard) string {
	var b strings.Builder
	b.WriteString("| guard | promise | what it does | where | caught by | in the simulator |\n|---|---|---|---|---|---|\n")
	for _, g := range all {
		var files []string
		for _, e := range g.Edits {
			if f := "`" + e.File + "`"; len(files) == 0 || files[len(files)-1] != f {
				files = append(files, f)
			}
		}
		sim := ""
		if g.Sim != "" {
			sim = "`" + g.Sim + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | `%s` in `%s` | %s |\n", g.Name, g.Promise, g.What, strings.Join(files, ", "),
			strings.ReplaceAll(g.Run, "|", "`, `"), strings.TrimPrefix(g.Pkg, "./"), sim)
	}
	return b.String()
}
