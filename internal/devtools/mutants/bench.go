package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/testenv"
)

// How long one test program may take: without a guard, and with all of a package's tests, beside other work.
const (
	testTimeout     = "2m"
	baselineTimeout = "15m"
)

// bench builds and runs test programs of the module at root, with its files in dir.
type bench struct{ root, dir string }

// verdict is what the removal of one guard came to.
type verdict struct {
	caught bool
	// why names the test that went red, or says why nothing was caught.
	why    string
	output string
	took   time.Duration
}

// baseline demands that every test that is to go red is green with all guards in place.
func (b *bench) baseline(ctx context.Context, all []Guard) error {
	patterns := map[string][]string{}
	var pkgs []string
	for _, g := range all {
		if !slices.Contains(pkgs, g.Pkg) {
			pkgs = append(pkgs, g.Pkg)
		}
		if !slices.Contains(patterns[g.Pkg], g.Run) {
			patterns[g.Pkg] = append(patterns[g.Pkg], g.Run)
		}
	}
	for n, pkg := range pkgs {
		bin := filepath.Join(b.dir, fmt.Sprintf("baseline-%d.test", n))
		if out, err := b.build(ctx, pkg, bin, ""); err != nil {
			return fmt.Errorf("%s does not compile: %w\n%s", pkg, err, indent(out))
		}
		out, err := b.test(ctx, pkg, bin, "^("+strings.Join(patterns[pkg], "|")+")$", baselineTimeout, false)
		_ = os.Remove(bin)
		if err != nil {
			return fmt.Errorf("%s is red with every guard in place: %w\n%s", pkg, err, indent(tail(out)))
		}
	}
	return nil
}

// remove builds the guard's tests without the guard and runs them.
func (b *bench) remove(ctx context.Context, g Guard) (v verdict) {
	began := time.Now()
	defer func() { v.took = time.Since(began) }()
	dir, err := os.MkdirTemp(b.dir, "guard-")
	if err != nil {
		return verdict{why: err.Error()}
	}
	defer func() { _ = os.RemoveAll(dir) }()
	overlay, err := g.overlay(b.root, dir)
	if err != nil {
		return verdict{why: err.Error()}
	}
	bin := filepath.Join(dir, "guard.test")
	if out, err := b.build(ctx, g.Pkg, bin, overlay); err != nil {
		return verdict{why: "it does not compile without the guard", output: tail(out)}
	}
	out, err := b.test(ctx, g.Pkg, bin, "^("+g.Run+")$", testTimeout, g.schema())
	return judge(g, out, err)
}

var failed = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+)`)

// judge reads what the tests without the guard printed. err is nil when they were green.
func judge(g Guard, out string, err error) verdict {
	switch {
	case err == nil:
		return verdict{why: "the tests are green without it"}
	case strings.Contains(out, "panic: test timed out after"):
		if g.Hangs {
			return verdict{caught: true, why: "the tests hang without it", output: tail(out)}
		}
		return verdict{why: "the tests ran into their time limit", output: tail(out)}
	case !failed.MatchString(out):
		return verdict{why: "the test program failed without a red test: " + err.Error(), output: tail(out)}
	case !strings.Contains(out, g.Says):
		return verdict{why: fmt.Sprintf("red for another reason: nothing says %q", g.Says), output: tail(out)}
	}
	// A test's words come after its name.
	before, after, _ := strings.Cut(out, g.Says)
	line, _, _ := strings.Cut(after, "\n")
	name := g.Run
	for _, m := range failed.FindAllStringSubmatch(before+g.Says+line, -1) {
		name = m[1]
	}
	return verdict{caught: true, why: name, output: tail(out)}
}

func (b *bench) build(ctx context.Context, pkg, bin, overlay string) (string, error) {
	args := []string{"test", "-c", "-o", bin}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = b.root
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (b *bench) test(ctx context.Context, pkg, bin, pattern, limit string, ownDatabase bool) (string, error) {
	cmd := exec.CommandContext(ctx, bin, "-test.run", pattern, "-test.count=1", "-test.timeout", limit)
	cmd.Dir = filepath.Join(b.root, pkg)
	cmd.Env = os.Environ()
	if ownDatabase {
		cmd.Env = append(cmd.Env, testenv.DatabaseURLVar+"=")
	}
	// What a killed test program leaves behind holds its output open; it is not waited for.
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// tail keeps the end of an output: the red tests' words.
func tail(out string) string {
	const most = 4000
	if len(out) > most {
		out = "[...]" + out[len(out)-most:]
	}
	return out
}

func indent(out string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(out), "\n", "\n    ")
}
