package fix

import (
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// CommandCheck is the check of a plan that no fixer made: the command that the repository names, else the failing
// command if the catalogue knows it. Where there is neither, nothing can tell red from green.
func (c *Catalogue) CommandCheck(named, failing string) (check Step, command, from string, err error) {
	command, from = strings.TrimSpace(named), CheckFromRepository
	if command == "" {
		known, ok := c.KnownCheck(failing)
		if !ok {
			return Step{}, "", "", fault.Permf(ReasonNoCheck, "nothing says how to check a change: name a command under checks in .sre-agent.yaml")
		}
		command, from = known, CheckFromLog
	}
	return Step{Script: inShell(command), Tree: AccessWrite}, command, from, nil
}

// inShell runs a command as the CI would: in bash where there is one.
func inShell(command string) string { return `"$(command -v bash || echo sh)" -e -c ` + Quote(command) }

// lockFixers are the entries that bring a lock in step with its manifest, by the tool.
var lockFixers = map[string]string{
	"npm": "npm-lock", "pnpm": "pnpm-lock", "yarn": "yarn-lock", "poetry": "poetry-lock", "uv": "uv-lock", "cargo": "cargo-lock", "go": "go-mod-tidy",
}

// LockFixer is the entry that refreshes the locks of a tool, "" where there is none.
func LockFixer(tool string) string { return lockFixers[tool] }
