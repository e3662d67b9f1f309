package sandbox

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// startTime is how long bubblewrap may take to build the sandbox.
const startTime = 30 * time.Second

// Run runs one script and returns when all of its processes are gone. A script that fails, or is killed for its
// limits, is a Result. An error means that the sandbox could not be made, or that ctx ended (Killed is then
// "cancelled" and the error is the context's cause).
func (s *Sandbox) Run(ctx context.Context, spec Spec) (Result, error) {
	spec.Limits = spec.Limits.withDefaults()
	err := spec.check()
	if err == nil && spec.Network && spec.Egress == nil && s.egress == nil {
		err = errors.New("the script wants a network, and there is no proxy that says how far")
	}
	if err != nil {
		return Result{}, fmt.Errorf("sandbox: %w", err)
	}
	if ctx.Err() != nil {
		return Result{ExitCode: -1, Killed: KilledCancelled}, fmt.Errorf("sandbox: %w", context.Cause(ctx))
	}
	id, release := s.ids.take()
	defer release()
	writable := []string{spec.Dir}
	for _, m := range spec.Mounts {
		if m.Writable {
			writable = append(writable, m.Host)
		}
	}
	for _, path := range writable {
		if err := id.own(path); err != nil {
			return Result{}, fmt.Errorf("sandbox: give %s to the script's user: %w", path, err)
		}
	}
	// The kernel's parent-death signal follows the thread that forked, so that thread must outlive the sandbox.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var d *door
	if spec.Network {
		if d, err = openDoor(id); err != nil {
			return Result{}, fmt.Errorf("sandbox: %w", err)
		}
		defer d.close()
	}
	j, err := s.start(spec, id, d)
	if err != nil {
		return Result{}, fmt.Errorf("sandbox: %w", err)
	}
	defer j.close()
	if s.cgroups != nil {
		if j.group, err = s.cgroups.make(spec.Limits.Memory); err != nil {
			j.kill("")
			j.gone()
			return Result{}, fmt.Errorf("sandbox: %w", err)
		}
		defer j.group.remove()
	}
	result, err := j.supervise(ctx, spec.Limits, writable)
	if err != nil {
		return result, fmt.Errorf("sandbox: %w", err)
	}
	return result, nil
}

// job is a started sandbox. Its processes are: the monitor (our child), the init of the pid namespace (the
// monitor's child), and in there the script. When init dies, the kernel kills the whole namespace.
type job struct {
	cmd     *exec.Cmd
	started time.Time
	// block holds the launcher until the limits are set; gate holds the script until its supervisor is ready,
	// and a gate that closes without a word ends it.
	block, gate *os.File
	status      *json.Decoder
	statusFile  *os.File
	output      *tape
	copied      chan struct{} // closed when the output's end was read
	exited      chan struct{} // closed when the monitor is gone
	init        int           // process id of the namespace's init
	pidfd       int
	group       *cgroup // nil where there are none
	door        *door   // nil without a network
	proxy       http.Handler
	log         *slog.Logger
	killOnce    sync.Once
	reason      string
}

// gated waits for a line on the gate, closes it and becomes the script's shell. It enters the source by itself: the
// folder may be closed to everybody but the script's user, which the launcher is not.
const gated = `cd ` + Source + ` && read -r go <&3 && unset OLDPWD && exec 3<&- /bin/sh -c "$1"`

// quiet forbids user namespaces below this one, as --disable-userns does for the launcher's own.
const quiet = `{ echo 0 >/proc/sys/user/max_user_namespaces; } 2>/dev/null; exec "$@"`

func (s *Sandbox) start(spec Spec, id identity, d *door) (_ *job, err error) {
	l := &launch{}
	defer l.close()
	pipes, err := makePipes(4)
	if err != nil {
		return nil, err
	}
	gate, block, status, out := pipes[0], pipes[1], pipes[2], pipes[3]
	defer func() {
		if err != nil {
			closeAll(gate.w, block.w, status.r, out.r)
		}
	}()
	defer func() { _ = out.w.Close() }()
	if id.mapped {
		// So that the script may open /dev/stdout and /dev/stderr by name, as tee does: the kernel asks for the owner.
		if err := out.w.Chown(id.uid, id.uid); err != nil {
			return nil, fmt.Errorf("hand over the output: %w", err)
		}
	}
	l.inherit(gate.r) // number 3, see gated
	l.add("--block-fd", l.inherit(block.r), "--json-status-fd", l.inherit(status.w))
	if err := s.build(l, spec, id, d); err != nil {
		return nil, err
	}
	args, err := memoryFile(joinArgs(l.args))
	if err != nil {
		return nil, err
	}
	argv := []string{s.bin, "--args", l.inherit(args), "--"}
	if id.mapped {
		user := strconv.Itoa(insideID)
		argv = append([]string{"/bin/sh", "-c", quiet, "sh"}, argv...)
		argv = append(argv, "/usr/bin/setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--inh-caps=-all", "--")
	}
	if d != nil {
		argv = append(argv, insideHelper, insideCommand)
	}
	argv = append(argv, "/bin/sh", "-c", gated, "sh", spec.Script)

	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // supervise kills the namespace, which a context would not
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = out.w, out.w
	cmd.ExtraFiles = l.files
	cmd.SysProcAttr = attributes(id)
	j := &job{
		cmd: cmd, started: time.Now(), block: block.w, gate: gate.w, pidfd: -1,
		status: json.NewDecoder(io.LimitReader(status.r, 1<<16)), statusFile: status.r,
		door: d, proxy: cmp.Or[http.Handler](spec.Egress, s.egress), log: s.log,
		output: newTape(spec.Limits.Output), copied: make(chan struct{}), exited: make(chan struct{}),
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start bubblewrap: %w", err)
	}
	go func() {
		defer close(j.copied)
		defer func() { _ = out.r.Close() }()
		_, _ = io.Copy(j.output, out.r)
	}()
	go func() {
		defer close(j.exited)
		_ = cmd.Wait()
	}()
	return j, nil
}

// attributes say how the launcher starts. As root: as root of a new user namespace that knows two users, itself and
// the script's, so that bubblewrap can reach folders that only root can, and the script can't.
func attributes(id identity) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if id.mapped {
		ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: insideID, HostID: id.uid, Size: 1}}
		attr.Cloneflags = syscall.CLONE_NEWUSER
		attr.UidMappings, attr.GidMappings = ids, ids
		attr.GidMappingsEnableSetgroups = true
		attr.Credential = &syscall.Credential{}
	}
	return attr
}

// ready waits for the namespaces, sets the limits and lets the script go.
func (j *job) ready(ctx context.Context, limits Limits) error {
	first := make(chan int, 1)
	go func() {
		var status struct {
			Child int `json:"child-pid"`
		}
		_ = j.status.Decode(&status)
		first <- status.Child
	}()
	timer := time.NewTimer(startTime)
	defer timer.Stop()
	// Not ctx: bubblewrap is quick, and only after this is there an init to kill.
	select {
	case j.init = <-first:
	case <-timer.C:
		return errors.New("bubblewrap did not start in time")
	}
	if j.init <= 0 {
		return errors.New("bubblewrap did not start")
	}
	var err error
	if j.pidfd, err = unix.PidfdOpen(j.init, 0); err != nil {
		return fmt.Errorf("watch the sandbox: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := setLimits(j.init, limits); err != nil {
		return err
	}
	if j.group != nil {
		if err := j.group.join(j.init); err != nil {
			return fmt.Errorf("join the control group: %w", err)
		}
	}
	_, _ = j.block.Write([]byte("\n"))
	if j.door != nil {
		if err := j.door.answer(j.exited, j.proxy, j.log); err != nil {
			return err
		}
	}
	_, _ = j.gate.Write([]byte("go\n"))
	return nil
}

// setLimits sets init's limits before it forks the script, which inherits them.
func setLimits(pid int, limits Limits) error {
	cpu := uint64((limits.CPU + time.Second - 1) / time.Second)
	for _, limit := range []struct {
		what  int
		value uint64
	}{
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_NPROC, uint64(limits.Processes)},
		{unix.RLIMIT_FSIZE, uint64(limits.FileSize)},
		{unix.RLIMIT_NOFILE, uint64(limits.OpenFiles)},
		{unix.RLIMIT_CPU, cpu},
		{unix.RLIMIT_RTPRIO, 0},
		{unix.RLIMIT_MSGQUEUE, 1 << 20},
	} {
		var old unix.Rlimit
		if err := unix.Prlimit(pid, limit.what, nil, &old); err != nil {
			return fmt.Errorf("read limit %d: %w", limit.what, err)
		}
		value := min(limit.value, old.Max)
		if err := unix.Prlimit(pid, limit.what, &unix.Rlimit{Cur: value, Max: value}, nil); err != nil {
			return fmt.Errorf("set limit %d: %w", limit.what, err)
		}
	}
	// Should the host run out of memory all the same, this goes first. Not everywhere allowed, never needed.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("1000"), 0)
	return nil
}

// supervise sees the job to its end.
func (j *job) supervise(ctx context.Context, limits Limits, writable []string) (Result, error) {
	watch, stopWatch := context.WithCancel(context.Background())
	defer stopWatch()
	disk := newDiskWatch(writable, limits)
	startErr := j.ready(ctx, limits)
	if startErr != nil {
		j.kill("")
	} else {
		timer := time.AfterFunc(limits.Time, func() { j.kill(KilledTimeout) })
		defer timer.Stop()
		go watchMemory(watch, j.hasTooMuch(limits.Memory), func() { j.kill(KilledMemory) })
		go disk.run(watch, j.init, func() { j.kill(KilledDisk) })
	}
	var dead *deadman
	if startErr == nil && limits.Silence > 0 {
		if dead, startErr = startDeadman(j.init, limits.Silence); startErr != nil {
			j.kill("")
		}
	}
	select {
	case <-j.exited:
	case <-ctx.Done():
		j.kill(KilledCancelled)
	}
	if j.group != nil && j.group.exceeded() {
		j.kill(KilledMemory) // the kernel was quicker than the watch
	}
	j.kill("") // what the script left behind
	j.gone()
	stopWatch()
	if dead.close() && ctx.Err() == nil {
		return Result{ExitCode: -1}, fmt.Errorf("the sandbox was ended: this program had been stopped for more than %s", limits.Silence)
	}

	result := Result{Duration: time.Since(j.started), Killed: j.reason, ExitCode: -1, MemoryBy: BySampling}
	if j.group != nil {
		result.MemoryBy = j.group.by
	}
	result.Output, result.Truncated = j.output.result()
	if ctx.Err() != nil && (j.reason == KilledCancelled || startErr != nil) {
		result.Killed = KilledCancelled
		return result, context.Cause(ctx)
	}
	if startErr != nil {
		return Result{}, fmt.Errorf("%w: %.1000s", startErr, result.Output)
	}
	code, finished := j.exitCode()
	if j.reason == "" && !finished {
		return Result{}, fmt.Errorf("bubblewrap could not make the sandbox: %.1000s", result.Output)
	}
	if j.reason == "" {
		result.ExitCode = code
	}
	return result, nil
}

// hasTooMuch looks at the memory that is in use.
func (j *job) hasTooMuch(limit int64) func() bool {
	if j.group != nil {
		return j.group.exceeded
	}
	return func() bool { return usedMemory(j.init) > limit }
}

// kill ends every process of the sandbox. The first reason is kept.
func (j *job) kill(reason string) {
	j.killOnce.Do(func() { j.reason = reason })
	if j.pidfd >= 0 {
		_ = unix.PidfdSendSignal(j.pidfd, unix.SIGKILL, nil, 0)
		return
	}
	_ = j.cmd.Process.Kill()
}

// gone waits until nothing is left. A dead init means a dead namespace: the kernel reports init only after it has
// reaped everything in it.
func (j *job) gone() {
	closeAll(j.block, j.gate) // a launcher that still waits goes on, and its script ends at the gate
	if j.pidfd >= 0 {
		fds := []unix.PollFd{{Fd: int32(j.pidfd), Events: unix.POLLIN}}
		for {
			if _, err := unix.Poll(fds, -1); !errors.Is(err, unix.EINTR) {
				break
			}
		}
	}
	<-j.exited
	<-j.copied
	if j.init > 0 {
		// When this program is the reaper of orphans (process 1 of a container), init is now its child.
		_, _ = unix.Wait4(j.init, nil, unix.WNOHANG, nil)
	}
}

// exitCode is what bubblewrap reported of the script, and false when the script was never reached.
func (j *job) exitCode() (int, bool) {
	for {
		var status struct {
			Code *int `json:"exit-code"`
		}
		if err := j.status.Decode(&status); err != nil {
			return 0, false
		}
		if status.Code != nil {
			return *status.Code, true
		}
	}
}

func (j *job) close() {
	closeAll(j.block, j.gate, j.statusFile)
	if j.pidfd >= 0 {
		_ = unix.Close(j.pidfd)
	}
}

// sealInherited keeps files that this program was started with (a supervisor's socket, a CI's pipe) from going on to
// the script. Go closes the files that it opened itself at exec, but not those.
func sealInherited() {
	if unix.CloseRange(firstFD, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	entries, _ := os.ReadDir("/proc/self/fd") // before Linux 5.11
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd >= firstFD {
			unix.CloseOnExec(fd)
		}
	}
}

type pipe struct{ r, w *os.File }

func makePipes(n int) ([]pipe, error) {
	var pipes []pipe
	for range n {
		r, w, err := os.Pipe()
		if err != nil {
			for _, p := range pipes {
				closeAll(p.r, p.w)
			}
			return nil, err
		}
		pipes = append(pipes, pipe{r, w})
	}
	return pipes, nil
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

func joinArgs(args []string) string {
	var b bytes.Buffer
	for _, arg := range args {
		b.WriteString(arg)
		b.WriteByte(0)
	}
	return b.String()
}
