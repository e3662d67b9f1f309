// Command genaccounts writes the NATS accounts: one user for each role, with the permissions that the streams package
// derives from its table. The file holds no secret; the server takes the passwords from its environment.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/sre-agent/sre-agent/streams"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: genaccounts FILE")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], []byte(accounts()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const head = `# Written by make generate from streams/roles.go: do not edit. docs/deploy.md says what each user may do and why.
#
# The server reads the passwords from its environment and does not start when one is missing. Each may be a bcrypt hash
# (nats server passwd).

accounts {
  SRE_AGENT {
    jetstream: enabled
    users: [
`

const tail = `    ]
  }
}
`

func accounts() string {
	var b strings.Builder
	b.WriteString(head)
	for _, r := range streams.Roles() {
		a := streams.AccessOf(r)
		fmt.Fprintf(&b, "      {\n        user: %s, password: $NATS_%s_PASSWORD\n        permissions: {\n", r, strings.ToUpper(string(r)))
		list(&b, "publish", a.Publish)
		list(&b, "subscribe", a.Subscribe)
		b.WriteString("        }\n      }\n")
	}
	b.WriteString(tail)
	return b.String()
}

func list(b *strings.Builder, name string, subjects []string) {
	fmt.Fprintf(b, "          %s: { allow: [\n", name)
	for _, s := range subjects {
		fmt.Fprintf(b, "            %q\n", s)
	}
	b.WriteString("          ] }\n")
}
