package main

import (
	"fmt"
	"slices"
	"strings"
)

// tool is something that has to be on the machine, and the packages that bring it.
type tool struct {
	name     string
	purposes []purpose
	apt      []string
	brew     string // "" where macOS has it, or can't have it
}

type purpose string

const (
	forDemo purpose = "demo"
	forTest purpose = "test"
)

var both = []purpose{forDemo, forTest}

// tools is everything that the two commands of the README need beside Go and make.
var tools = []tool{
	{"git", both, []string{"git"}, "git"},
	{"CA certificates", both, []string{"ca-certificates"}, ""},
	{"bubblewrap", both, []string{"bubblewrap"}, ""},
	{"PostgreSQL server", both, []string{"postgresql"}, "postgresql"},
	{"redis-server", []purpose{forTest}, []string{"redis-server"}, "redis"},
	{"C compiler", []purpose{forTest}, []string{"gcc", "libc6-dev"}, ""}, // for go test -race
	{"node", []purpose{forTest}, []string{"nodejs"}, "node"},
	{"npm", []purpose{forTest}, []string{"npm"}, "node"},
	{"python3", []purpose{forTest}, []string{"python3", "python3-pip"}, "python"}, // reads what fix plans write
	{"cargo", []purpose{forTest}, []string{"cargo"}, "rust"},
	{"rustfmt", []purpose{forTest}, []string{"rustfmt"}, "rust"},
	{"cargo-clippy", []purpose{forTest}, []string{"rust-clippy"}, "rust"},
	{"make", []purpose{forTest}, []string{"make"}, "make"},
	{"pre-commit", []purpose{forTest}, []string{"pre-commit"}, "pre-commit"},
	{"black", []purpose{forTest}, []string{"black"}, "black"},
	{"isort", []purpose{forTest}, []string{"isort"}, "isort"},
	{"poetry", []purpose{forTest}, []string{"python3-poetry"}, "poetry"},
	{"minisign", []purpose{forTest}, []string{"minisign"}, "minisign"}, // takes our receipts
	{"jq", []purpose{forTest}, []string{"jq"}, "jq"},                   // and the runbook's commands
	{"gpg", []purpose{forTest}, []string{"gnupg"}, "gnupg"},
	{"systemd-analyze", []purpose{forTest}, []string{"systemd"}, ""},       // reads the units of deploy/systemd
	{"ssh-keygen", []purpose{forTest}, []string{"openssh-client"}, ""},     // and these two our commits' signatures
	{"promtool", []purpose{forTest}, []string{"prometheus"}, "prometheus"}, // and prometheus itself: rules and dashboards are tried on it
	{"podman", []purpose{forTest}, []string{"podman", "runc"}, ""},         // the sandbox's other backend; its tests run containers
}

// machine is what the plan depends on.
type machine struct {
	os      string // GOOS
	apt     bool   // apt-get is there
	uid     int
	sudo    bool // sudo works without a password
	missing []string
}

// plan is the commands to run, or, where this program may not run them, the message that tells people to.
type plan struct {
	install bool
	// prefix comes before each command: sudo, or nothing.
	prefix   []string
	packages []string
	message  string
}

// missingFor keeps the tools for p that have can't find.
func missingFor(p purpose, have func(name string) bool) []string {
	var names []string
	for _, t := range tools {
		if slices.Contains(t.purposes, p) && !have(t.name) {
			names = append(names, t.name)
		}
	}
	return names
}

// makePlan decides how the missing tools get onto the machine.
func makePlan(m machine) plan {
	if len(m.missing) == 0 {
		return plan{}
	}
	var apt, brew []string
	for _, t := range tools {
		if !slices.Contains(m.missing, t.name) {
			continue
		}
		apt = append(apt, t.apt...)
		if t.brew != "" && !slices.Contains(brew, t.brew) {
			brew = append(brew, t.brew)
		}
	}
	if m.os == "linux" && m.apt && (m.uid == 0 || m.sudo) {
		p := plan{install: true, packages: apt}
		if m.uid != 0 {
			p.prefix = []string{"sudo", "-n"}
		}
		return p
	}
	return plan{message: advice(m, apt, brew)}
}

func advice(m machine, apt, brew []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "missing: %s\n\n", strings.Join(m.missing, ", "))
	fmt.Fprintf(&b, "Debian or Ubuntu:  sudo apt-get update && sudo apt-get install -y --no-install-recommends %s\n", strings.Join(apt, " "))
	if len(brew) > 0 {
		fmt.Fprintf(&b, "macOS:             brew install %s\n", strings.Join(brew, " "))
	}
	if m.os == "darwin" && slices.Contains(m.missing, "bubblewrap") {
		b.WriteString("\nThe sandbox (bubblewrap) needs Linux: on macOS, use a Linux virtual machine or container.\n")
	}
	return b.String()
}

// sandboxAdvice says what to do when bubblewrap is there and can't run. read returns a kernel setting, or "".
func sandboxAdvice(read func(path string) string, inContainer bool) string {
	var b strings.Builder
	b.WriteString("bubblewrap is installed, but it can't make a sandbox here.\n")
	known := false
	if read("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
		known = true
		b.WriteString("\nUser namespaces are off. Turn them on:\n  sudo sysctl -w kernel.unprivileged_userns_clone=1\n")
	}
	if read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
		known = true
		b.WriteString("\nAppArmor keeps programs from user namespaces (Ubuntu 23.10 and later). Allow them:\n" +
			"  sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0\n")
	}
	if read("/proc/sys/user/max_user_namespaces") == "0" {
		known = true
		b.WriteString("\nThe limit of user namespaces is 0. Raise it:\n  sudo sysctl -w user.max_user_namespaces=15000\n")
	}
	if inContainer {
		known = true
		b.WriteString("\nThis is a container, whose runtime may forbid namespaces. For Docker, start it with:\n" +
			"  --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined\n")
	}
	if !known {
		b.WriteString("\nLook at what bwrap says above, and at the kernel's settings for user namespaces.\n")
	}
	return b.String()
}
