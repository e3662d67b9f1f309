package sandbox

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// container is the vessel that an engine makes. Its first process is a shell that runs the script, which waits at the
// gate, and ends with it, which ends everything else in there.
type container struct {
	*engine
	name  string
	dir   string // holds what is shown at insideDir
	pid   int
	guard *guard
}

// In the folder that is shown at insideDir: the first process's script, the pipes, and files of /etc.
const (
	startFile  = "start"
	gateFile   = "gate"
	outputFile = "output"
)

// startContainer makes a container whose script waits at the gate. All that is passed to the engine are limits and
// paths: the script and its environment travel by a file, so that they are in nobody's process list.
func (s *Sandbox) startContainer(spec Spec, id identity, d *door) (_ *job, err error) {
	c := &container{engine: s.engine}
	if c.dir, err = os.MkdirTemp("", "sandbox-run-"); err != nil {
		return nil, err
	}
	c.name = "sre-agent-" + filepath.Base(c.dir)
	j := &job{
		vessel: c, started: time.Now(), pidfd: -1, door: d, proxy: cmp.Or[http.Handler](spec.Egress, s.egress), log: s.log,
		output: newTape(spec.Limits.Output), copied: make(chan struct{}), exited: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			j.close()
		}
	}()
	if err := s.furnish(c.dir, spec, id, d != nil); err != nil {
		return nil, err
	}
	args, err := s.containerArgs(c, spec, id, d)
	if err != nil {
		return nil, err
	}
	// Before there is anything to remove, so that there is no moment when nobody would.
	if c.guard, err = startGuard(s.engine, c.name, s.log); err != nil {
		return nil, err
	}
	ctx := context.Background() // the script waits at the gate, and each command has its own time
	if _, err := c.do(ctx, args...); err != nil {
		return nil, err
	}
	if _, err := c.do(ctx, "start", c.name); err != nil {
		return nil, err
	}
	if err := c.findInit(ctx); err != nil {
		return nil, err
	}
	j.group = groupOf(c.pid, spec.Limits.Memory)
	return j, j.attach(c)
}

// attach opens our ends of a container's pipes and watches its first process.
func (j *job) attach(c *container) error {
	watched, err := unix.PidfdOpen(c.pid, 0)
	if err != nil {
		return fmt.Errorf("watch the container: %w", err)
	}
	in := filepath.Join(c.dir, "inside")
	// Both ends of each, so that neither side's opening waits and none sees an end before it is one.
	out, err := os.OpenFile(filepath.Join(in, outputFile), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err == nil {
		j.outlet, err = os.OpenFile(filepath.Join(in, outputFile), os.O_WRONLY, 0)
	}
	if err == nil {
		j.gate, err = os.OpenFile(filepath.Join(in, gateFile), os.O_RDWR, 0)
	}
	if err != nil {
		closeAll(out)
		_ = unix.Close(watched)
		return fmt.Errorf("open the container's pipes: %w", err)
	}
	go j.copyOutput(out)
	go func() {
		defer close(j.exited)
		awaitEnd(watched)
		_ = unix.Close(watched)
	}()
	return nil
}

// findInit learns the first process's id from the engine, and makes sure that it is one of this machine's, and ours.
func (c *container) findInit(ctx context.Context) error {
	said, err := c.do(ctx, "inspect", "--format", "{{.State.Pid}}", c.name)
	if err != nil {
		return err
	}
	if c.pid, err = strconv.Atoi(said); err != nil || c.pid <= 1 {
		return fmt.Errorf("the container ended before its script began (process %.20q)", said)
	}
	var ours, theirs unix.Stat_t
	if err := unix.Lstat(filepath.Join(c.dir, "inside", startFile), &ours); err != nil {
		return err
	}
	err = unix.Lstat(fmt.Sprintf("/proc/%d/root%s/%s", c.pid, insideDir, startFile), &theirs)
	if err != nil || ours.Dev != theirs.Dev || ours.Ino != theirs.Ino {
		return fmt.Errorf("process %d is not the container's: does the engine run somewhere else? (%w)", c.pid, err)
	}
	return nil
}

// furnish writes what is shown at insideDir, and what the engine reads, into dir.
func (s *Sandbox) furnish(dir string, spec Spec, id identity, network bool) error {
	in := filepath.Join(dir, "inside")
	if err := os.Mkdir(in, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		return err
	}
	for _, name := range []string{gateFile, outputFile} {
		if err := unix.Mkfifo(filepath.Join(in, name), 0o600); err != nil {
			return fmt.Errorf("make a pipe: %w", err)
		}
	}
	files := map[string]string{
		startFile: s.startScript(spec, network),
		"passwd":  fmt.Sprintf("root:x:0:0:root:/:/bin/false\nsandbox:x:%d:%d:sandbox:%s:/bin/sh\n", id.uid, id.gid(), home),
		"group":   fmt.Sprintf("root:x:0:\nsandbox:x:%d:\n", id.gid()),
		"hosts":   "127.0.0.1 localhost sandbox\n::1 localhost sandbox\n",
		"empty":   "", // a resolver's settings
	}
	if network { // where the program and the door are mounted
		files[filepath.Base(insideHelper)], files[filepath.Base(insideDoor)] = "", ""
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(in, name), []byte(content), 0o444); err != nil {
			return err
		}
	}
	if profile := seccompProfile(); profile != nil {
		if err := os.WriteFile(filepath.Join(dir, profileFile), profile, 0o400); err != nil {
			return err
		}
	}
	for _, name := range []string{startFile, gateFile, outputFile} {
		path := filepath.Join(in, name)
		if err := id.own(path); err != nil {
			return err
		}
	}
	return os.Chmod(filepath.Join(in, startFile), 0o400)
}

// startScript is what the first process does. It stays, as the one that orphans fall to and that no signal from inside
// reaches. The script gets an environment made from nothing.
func (s *Sandbox) startScript(spec Spec, network bool) string {
	env := s.engine.image.environment()
	maps.Copy(env, s.environment(spec))
	var b strings.Builder
	fmt.Fprintf(&b, "exec </dev/null >%s/%s 2>&1\n", insideDir, outputFile)
	fmt.Fprintf(&b, "mkdir -p %s && cd %s || exit 125\nenv -i", home, Source)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		b.WriteString(" " + quote(name+"="+env[name]))
	}
	if network {
		b.WriteString(" " + insideHelper + " " + insideCommand)
	}
	gated := fmt.Sprintf(`read -r go <%s/%s && exec /bin/sh -c "$1"`, insideDir, gateFile)
	b.WriteString(" /bin/sh -c " + quote(gated) + " sh " + quote(spec.Script) + "\nexit $?\n")
	return b.String()
}

// quote makes one word of a shell's of any text.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// containerArgs are the arguments of create. Both engines know them, but for the dialect's own.
func (s *Sandbox) containerArgs(c *container, spec Spec, id identity, d *door) ([]string, error) {
	l := spec.Limits
	user, memory := fmt.Sprintf("%d:%d", id.uid, id.gid()), strconv.FormatInt(l.Memory, 10)
	args := []string{
		"create", "--name", c.name, "--label", label + "=" + ownerNow(time.Now().Add(l.Time+2*commandTime)).String(),
		"--pull", "never", "--network", "none", "--ipc", "private", "--cgroupns", "private", "--hostname", "sandbox",
		"--log-driver", "none", "--no-healthcheck", "--stop-timeout", "0", "--workdir", "/",
		"--read-only", "--user", user, "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--security-opt", "label=disable",
		"--memory", memory, "--memory-swap", memory, "--pids-limit", strconv.Itoa(l.Processes + 1),
		"--tmpfs", fmt.Sprintf("/tmp:rw,exec,nosuid,nodev,mode=1777,size=%d", min(l.Disk, l.Memory)),
		"--tmpfs", "/sys:ro,nosuid,nodev,noexec,size=4096", "--shm-size", "16777216",
	}
	for _, limit := range rlimits(l) {
		value := limit.value
		var own unix.Rlimit // which the engine may not be able to raise
		if unix.Getrlimit(limit.what, &own) == nil {
			value = min(value, own.Max)
		}
		args = append(args, "--ulimit", fmt.Sprintf("%s=%d:%d", limit.name, value, value))
	}
	args = append(args, c.create...)
	if !id.mapped {
		args = append(args, c.rootless...)
	}
	if seccompProfile() != nil {
		args = append(args, "--security-opt", "seccomp="+filepath.Join(c.dir, profileFile))
	}
	for _, m := range s.containerMounts(c, spec, d) {
		text, err := m.option()
		if err != nil {
			return nil, err
		}
		args = append(args, "--mount", text)
	}
	return append(args, "--entrypoint", "env", c.image.ID, "-i", "/bin/sh", insideDir+"/"+startFile), nil
}

func (s *Sandbox) containerMounts(c *container, spec Spec, d *door) []Mount {
	in := filepath.Join(c.dir, "inside")
	mounts := []Mount{
		{Host: spec.Dir, Inside: Source, Writable: true},
		{Host: in, Inside: insideDir},
		{Host: filepath.Join(in, "passwd"), Inside: "/etc/passwd"},
		{Host: filepath.Join(in, "group"), Inside: "/etc/group"},
		{Host: filepath.Join(in, "hosts"), Inside: "/etc/hosts"},
		{Host: filepath.Join(in, "empty"), Inside: "/etc/resolv.conf"},
	}
	for _, dir := range s.toolchains {
		mounts = append(mounts, Mount{Host: dir, Inside: dir})
	}
	mounts = append(mounts, spec.Mounts...)
	if spec.Network && s.caBundle != "" {
		mounts = append(mounts, Mount{Host: s.caBundle, Inside: insideCABundle})
	}
	if d != nil {
		mounts = append(mounts, Mount{Host: s.helper, Inside: insideHelper}, Mount{Host: d.path(), Inside: insideDoor})
	}
	return mounts
}

// option is a mount as --mount wants it: a line of CSV, so that a path may hold commas.
func (m Mount) option() (string, error) {
	fields := []string{"type=bind", "source=" + m.Host, "target=" + m.Inside}
	if !m.Writable {
		fields = append(fields, "readonly")
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	if err := w.Write(fields); err != nil {
		return "", err
	}
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n"), w.Error()
}

func (c *container) awaitInit() int { return c.pid }

// limit has nothing to do: the engine has set them.
func (c *container) limit(Limits) error { return nil }

func (c *container) release() {}

func (c *container) kill() {
	_, _ = c.do(context.Background(), "kill", "--signal", "KILL", c.name)
}

// end asks the engine, which may learn of it a little later than the kernel told us.
func (c *container) end() ending {
	said, err := c.do(context.Background(), "wait", c.name)
	if err != nil {
		return ending{}
	}
	code, err := strconv.Atoi(said)
	end := ending{code: code, reached: err == nil}
	if code == 128+int(unix.SIGKILL) {
		said, err = c.do(context.Background(), "inspect", "--format", "{{.State.OOMKilled}}", c.name)
		end.outOfMemory = err == nil && said == "true"
	}
	return end
}

func (c *container) close() {
	c.guard.close()
	_ = os.RemoveAll(c.dir)
}
