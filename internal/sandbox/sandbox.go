// Package sandbox runs a script that nobody trusts, by way of bubblewrap or of a container engine.
//
// It promises:
//   - The script sees the toolchains, its source directory at /src, the mounts it was given, and nothing else of
//     the host: no environment, no home, no /var, no secrets in /etc.
//   - It has no network. One that asks for it gets a proxy, which says what may be reached, and no other way out.
//   - It has no privileges and can't get any: no root, no capabilities, no new privileges, no user namespaces.
//   - It is bounded in time, memory, processes, files, disk and output.
//   - When Run returns, by whatever way, every process that the script started is gone. If the program that called
//     Run is killed, the kernel kills the sandbox; a container is removed by its guard, and at the latest at the next start.
//   - Host code never follows a link that the script could have planted.
//
// docs/security.md says why each part is the way it is, and what is left open.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Source is where Spec.Dir appears inside; it is the script's working directory.
const Source = "/src"

// Limits bound one run. A zero field takes the value of DefaultLimits.
type Limits struct {
	// Time is wall-clock time for the whole run.
	Time time.Duration
	// Memory is the bytes of all processes together, with what they have in memory files and in /tmp.
	Memory int64
	// Processes counts processes and threads.
	Processes int
	// FileSize is the largest file, in bytes, that may be written.
	FileSize int64
	// OpenFiles is per process.
	OpenFiles int
	// CPU is processor time per process.
	CPU time.Duration
	// Output is how many bytes of output are kept.
	Output int
	// Disk is how many bytes the writable directories may grow, files that were deleted and are still open included. It
	// also bounds /tmp, which is in memory.
	Disk int64
	// Files is by how many files and folders the writable directories may grow.
	Files int64
	// Silence is how long this program may be stopped before the sandbox is ended without it; 0 means for ever.
	Silence time.Duration
}

// DefaultLimits are generous enough for an ordinary build of one package.
func DefaultLimits() Limits {
	return Limits{
		Time: 10 * time.Minute, Memory: 2 << 30, Processes: 512, FileSize: 1 << 30,
		OpenFiles: 4096, CPU: 10 * time.Minute, Output: 1 << 20, Disk: 2 << 30, Files: 1_000_000,
	}
}

// Mount shows a host directory or file at an absolute path inside. A writable mount belongs to one run at a time.
type Mount struct {
	Host, Inside string
	Writable     bool
}

// Spec is one run.
type Spec struct {
	// Script is run by /bin/sh -c.
	Script string
	// Dir is a real host directory, bound read-write at Source.
	Dir    string
	Mounts []Mount
	// Env is added to CI, HOME, LANG, PATH and TMPDIR, which are always there. Never put a secret in it.
	Env map[string]string
	// Network gives the script a proxy for HTTP and HTTPS, which says what may be reached. There is no other way out.
	Network bool
	// Egress is that proxy, when it is not Options.Egress.
	Egress http.Handler
	Limits Limits
}

// Reasons in Result.Killed.
const (
	KilledTimeout   = "timeout"
	KilledMemory    = "memory"
	KilledDisk      = "disk"
	KilledCancelled = "cancelled"
)

// Result is what became of a run.
type Result struct {
	// ExitCode is the script's own, or -1 when it was killed for the reason in Killed.
	ExitCode int
	// Output is standard output and error as they came; when Truncated, its middle is left out.
	Output    string
	Truncated bool
	// Killed is empty when the script ended by itself.
	Killed   string
	Duration time.Duration
	// MemoryBy says what held the memory: a control group (exactly), or samples.
	MemoryBy string
}

// The backends of Options.Backend.
const (
	Auto       = "auto"
	Bubblewrap = "bubblewrap"
	Podman     = "podman"
	Docker     = "docker"
)

// Options configure New.
type Options struct {
	// Backend is one of the above. Auto, or nothing, takes a container engine if there is an image and a container of it
	// runs, else bubblewrap if a sandbox runs. One that is named is the one, or there is none.
	Backend string
	// Image is what containers are made of. It brings its own tools.
	Image string
	// Bin is the bubblewrap program; empty looks for bwrap in PATH.
	Bin string
	// Toolchains are host directories, outside of /usr, that are shown read-only at the same path.
	Toolchains []string
	// HostToolchains are more of them for bubblewrap alone, whose /usr is the host's too.
	HostToolchains []string
	// CABundle is the file of trusted certificates for runs with a network; empty looks in the usual places.
	CABundle string
	// Egress is the proxy of runs with a network; see internal/egress. A program that sets it calls Inside first.
	Egress http.Handler
	Log    *slog.Logger
}

// Sandbox runs scripts. It is safe for concurrent use.
type Sandbox struct {
	bin        string  // bubblewrap's
	engine     *engine // nil with bubblewrap
	toolchains []string
	caBundle   string
	helper     string // this program
	egress     http.Handler
	filter     []byte   // for seccomp; nil where the architecture is not known
	cgroups    *cgroups // nil where none can be made
	log        *slog.Logger
	ids        *identities
}

// New chooses a backend and proves that it works by running something inside. Its error says what to do.
func New(ctx context.Context, opts Options) (*Sandbox, error) {
	sealInherited()
	s := &Sandbox{caBundle: opts.CABundle, egress: opts.Egress, log: opts.Log, ids: newIdentities()}
	var err error
	if s.helper, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("sandbox: find this program: %w", err)
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.caBundle == "" {
		s.caBundle = findCABundle()
	}
	if s.filter, err = filter(); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	if err := s.addToolchains(opts.Toolchains); err != nil {
		return nil, err
	}
	if err := s.choose(ctx, opts); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Sandbox) addToolchains(dirs []string) error {
	for _, dir := range dirs {
		if err := checkMountPoint(dir); err != nil {
			return fmt.Errorf("sandbox: toolchain %q: %w", dir, err)
		}
		s.toolchains = append(s.toolchains, filepath.Clean(dir))
	}
	return nil
}

// choose takes the backend that is asked for, or the first one that works. One that was named is never replaced.
func (s *Sandbox) choose(ctx context.Context, opts Options) error {
	var failed []error
	for _, d := range dialects {
		if opts.Backend == d.name {
			return s.useEngine(ctx, d, opts.Image)
		}
	}
	switch opts.Backend {
	case Auto, "":
		if opts.Image == "" {
			return s.useBubblewrap(ctx, opts)
		}
		for _, d := range dialects {
			err := s.useEngine(ctx, d, opts.Image)
			if err == nil {
				return nil
			}
			s.log.WarnContext(ctx, "SANDBOX_IMAGE is set, and this engine does not run it", "engine", d.name, "error", err)
			failed = append(failed, err)
		}
		err := s.useBubblewrap(ctx, opts)
		if err == nil {
			return nil
		}
		return errors.Join(append(failed, err)...)
	case Bubblewrap:
		return s.useBubblewrap(ctx, opts)
	}
	return fmt.Errorf("sandbox: there is no backend %q", opts.Backend)
}

// Backend is the one that was chosen.
func (s *Sandbox) Backend() string {
	if s.engine != nil {
		return s.engine.name
	}
	return Bubblewrap
}

func (s *Sandbox) useBubblewrap(ctx context.Context, opts Options) error {
	var err error
	if s.bin, err = findLauncher(ctx, opts.Bin); err != nil {
		return err
	}
	if membership, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		s.cgroups = findCgroups(string(membership))
	}
	if err := s.addToolchains(opts.HostToolchains); err != nil {
		return err
	}
	if err := s.probe(ctx); err != nil {
		return fmt.Errorf("sandbox: bubblewrap is there but can't make a sandbox: %w: %s", err, enable)
	}
	return nil
}

const install = "install bubblewrap 0.8 or newer (Debian, Ubuntu: apt-get install bubblewrap; Fedora: dnf install bubblewrap; Alpine: apk add bubblewrap)"

var versionNumber = regexp.MustCompile(`(\d+)\.(\d+)`)

func findLauncher(ctx context.Context, bin string) (string, error) {
	if bin == "" {
		bin = "bwrap"
	}
	path, err := exec.LookPath(bin)
	if err != nil {
		return "", fmt.Errorf("sandbox: no bubblewrap: %w: %s", err, install)
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", fmt.Errorf("sandbox: %w", err)
	}
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = []string{}
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("sandbox: %s --version: %w: %s", path, err, install)
	}
	v := versionNumber.FindSubmatch(out)
	if v == nil {
		return "", fmt.Errorf("sandbox: %s --version says %.60q: %s", path, out, install)
	}
	major, _ := strconv.Atoi(string(v[1]))
	minor, _ := strconv.Atoi(string(v[2]))
	if major == 0 && minor < 8 {
		return "", fmt.Errorf("sandbox: %s is version %d.%d, which can't forbid user namespaces inside: %s", path, major, minor, install)
	}
	return path, nil
}

const enable = "allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone=1 (older Debian), " +
	"sysctl kernel.apparmor_restrict_unprivileged_userns=0 or an AppArmor profile for bwrap (Ubuntu 24.04), " +
	"sysctl user.max_user_namespaces=10000; in Docker: --security-opt seccomp=unconfined --security-opt systempaths=unconfined"

// probe runs a script that only passes inside a working sandbox.
func (s *Sandbox) probe(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "sandbox-probe-")
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	res, err := s.Run(ctx, Spec{
		Script: `test "$PWD" = /src && test "$$" -lt 20 && echo ok >/src/probe && cat /src/probe`,
		Dir:    dir, Limits: Limits{Time: 30 * time.Second},
	})
	if ctx.Err() != nil {
		return fmt.Errorf("probe: %w", ctx.Err())
	}
	if err != nil {
		return err
	}
	if res.ExitCode != 0 || strings.TrimSpace(res.Output) != "ok" {
		return fmt.Errorf("the probe ended with %d, %q, %.500q", res.ExitCode, res.Killed, res.Output)
	}
	return nil
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// check refuses a spec that could reach what it should not; everything in it may come from a repository.
func (spec Spec) check() error {
	switch {
	case spec.Script == "":
		return errors.New("no script")
	case len(spec.Script) > 100_000:
		return fmt.Errorf("the script has %d bytes; 100000 are allowed", len(spec.Script))
	case strings.ContainsRune(spec.Script, 0):
		return errors.New("the script has a zero byte")
	}
	if err := checkRealDir(spec.Dir); err != nil {
		return err
	}
	for name, value := range spec.Env {
		if !envName.MatchString(name) || strings.ContainsRune(value, 0) {
			return fmt.Errorf("environment variable %q is malformed", name)
		}
	}
	return spec.checkMounts()
}

func checkRealDir(dir string) error {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("directory %q is not absolute", dir)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%q is not a real directory", dir)
	}
	return nil
}

// checkMounts refuses mounts below anything that the script can write to: bubblewrap would follow a link that
// an earlier run planted there.
func (spec Spec) checkMounts() error {
	writable := []string{Source, "/dev", "/proc"}
	for _, m := range spec.Mounts {
		if m.Writable {
			writable = append(writable, m.Inside)
		}
	}
	for _, m := range spec.Mounts {
		if err := checkMountPoint(m.Inside); err != nil {
			return err
		}
		info, err := os.Lstat(m.Host)
		if err != nil {
			return err
		}
		if !filepath.IsAbs(m.Host) || !info.IsDir() && !info.Mode().IsRegular() {
			return fmt.Errorf("mount %q is not the absolute path of a directory or file", m.Host)
		}
		if within(m.Host, spec.Dir) {
			return fmt.Errorf("mount %q is inside of the script's own directory", m.Host)
		}
		for _, w := range writable {
			if w != m.Inside && within(m.Inside, w) {
				return fmt.Errorf("mount point %q is inside of %q, which the script can write to", m.Inside, w)
			}
		}
	}
	return nil
}

var systemDirs = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/dev", "/proc", "/tmp", "/run", insideDir, insideHelper, insideDoor, Source}

func checkMountPoint(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/" || strings.ContainsRune(path, 0) {
		return fmt.Errorf("mount point %q is not a clean absolute path", path)
	}
	for _, dir := range systemDirs {
		if path == dir {
			return fmt.Errorf("mount point %q belongs to the sandbox", path)
		}
	}
	return nil
}

func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	fill(&l.Time, d.Time)
	fill(&l.Memory, d.Memory)
	fill(&l.Processes, d.Processes)
	fill(&l.FileSize, d.FileSize)
	fill(&l.OpenFiles, d.OpenFiles)
	fill(&l.CPU, d.CPU)
	fill(&l.Output, d.Output)
	fill(&l.Disk, d.Disk)
	fill(&l.Files, d.Files)
	return l
}

func fill[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}
