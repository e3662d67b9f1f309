package fix

import (
	"fmt"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// The caches of a repository's own preparation: what its commands stored, and what they left in the tree.
const (
	ownCache  = "prepared"
	LeftCache = "left"
)

// maxLeft bounds the script that puts back what a preparation left in the tree, in bytes.
const maxLeft = 32 << 10

// OwnPreparation runs the commands that a repository's settings name, in the tree as it is without the patch. Package
// managers keep what they download in a cache that belongs to this run alone. Install scripts run only if they are
// asked for.
func OwnPreparation(commands []string, installScripts bool) Preparation {
	caches := []Cache{{Name: ownCache, Env: "SRE_PREPARED", Private: true}}
	fetch := Step{Network: true, Tree: AccessWrite, Caches: []Cache{{Name: ownCache, Env: "SRE_PREPARED", Private: true, Writable: true}}}
	var b strings.Builder
	b.WriteString(`export GOENV=off GOVCS='*:off' GOFLAGS=-modcacherw GOPATH="$SRE_PREPARED/go" GOMODCACHE="$SRE_PREPARED/go/mod" GOCACHE="${TMPDIR:-/tmp}/sre-go-build"
export GOPROXY="${GOPROXY:-https://proxy.golang.org}" CARGO_HOME="$SRE_PREPARED/cargo" npm_config_cache="$SRE_PREPARED/npm"
export npm_config_userconfig=/dev/null npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false
`)
	if !installScripts {
		b.WriteString("export npm_config_ignore_scripts=true YARN_IGNORE_SCRIPTS=true YARN_ENABLE_SCRIPTS=false\n")
	}
	for _, command := range commands {
		b.WriteString(inShell(command) + "\n")
	}
	// The check is run by another user.
	fetch.Script = b.String() + `chmod -R a+rX "$SRE_PREPARED" .` + "\n"
	return Preparation{
		Name: ByRepository, Command: strings.Join(commands, "\n"), Fetch: fetch, Caches: caches,
		Setup: `export GOENV=off GOVCS='*:off' GOPROXY=off GOPATH="$SRE_PREPARED/go" GOMODCACHE="$SRE_PREPARED/go/mod" GOCACHE="${TMPDIR:-/tmp}/sre-go-build"
export CARGO_NET_OFFLINE=true npm_config_offline=true npm_config_userconfig=/dev/null npm_config_cache="${TMPDIR:-/tmp}/sre-npm"
if [ -d "$SRE_PREPARED/cargo" ]; then export CARGO_HOME="${TMPDIR:-/tmp}/sre-cargo"; cp -R "$SRE_PREPARED/cargo" "$CARGO_HOME"; fi`,
	}
}

// Leaves adds to a preparation what its commands left in the tree beside the commit's own files: left holds them under
// their numbers, and the check gets a copy of each where the tree has nothing of that name.
func (p Preparation) Leaves(left []string) (Preparation, error) {
	if len(left) == 0 {
		return p, nil
	}
	var b strings.Builder
	b.WriteString(p.Setup + "\n" + `sre_put() { if [ ! -e "$2" ] && [ ! -L "$2" ]; then mkdir -p "${2%/*}" && cp -R -P "$SRE_LEFT/$1" "$2" || exit 125; fi; }` + "\n")
	for i, name := range left {
		fmt.Fprintf(&b, "sre_put %d %s\n", i, Quote("./"+name))
	}
	if b.Len() > maxLeft {
		return p, fault.Permf(ReasonPrepareFailed, "its commands left %d new files and folders beside the repository's own, too many to put back: have them use one folder", len(left))
	}
	p.Setup = b.String()
	p.Caches = append(p.Caches, Cache{Name: LeftCache, Env: "SRE_LEFT", Private: true})
	return p, nil
}
