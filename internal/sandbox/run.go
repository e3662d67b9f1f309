package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// startTime is how long a sandbox may take to be built.
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
	start := s.start
	if s.engine != nil {
		start = s.startContainer
	}
	j, err := start(spec, id, d)
	if err != nil {
		return Result{}, fmt.Errorf("sandbox: %w", err)
	}
	defer j.close()
	if s.cgroups != nil && s.engine == nil { // an engine makes its own
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

// vessel is what a job's processes are in: bubblewrap's, or a container.
type vessel interface {
	// awaitInit waits for the init of the pid namespace and returns its process id, or 0 when it did not start.
	awaitInit() int
	// limit sets what the script inherits.
	limit(limits Limits) error
	// release lets it go on, once its limits are set. It may be called again.
	release()
	// kill ends what has no init yet.
	kill()
	// end says how the script ended, after everything is gone.
	end() ending
	close()
}

// ending is how a script ended. One that was never reached has none.
type ending struct {
	code                 int
	reached, outOfMemory bool
}

// job is a started sandbox. Its processes are the init of the pid namespace, and below it the script. When init dies,
// the kernel kills the whole namespace.
type job struct {
	vessel
	started time.Time
	// gate holds the script until its supervisor is ready, and a gate that closes without a word ends it.
	gate *os.File
	// outlet is our own end of the output, where it has to be open as long as others may come.
	outlet   *os.File
	output   *tape
	copied   chan struct{} // closed when the output's end was read
	exited   chan struct{} // closed when the monitor, or init where there is none, is gone
	init     int           // process id of the namespace's init
	pidfd    int
	group    *cgroup // nil where there are none
	door     *door   // nil without a network
	proxy    http.Handler
	log      *slog.Logger
	killOnce sync.Once
	reason   string
}

func (j *job) copyOutput(from *os.File) {
	defer close(j.copied)
	defer func() { _ = from.Close() }()
	_, _ = io.Copy(j.output, from)
}

// ready waits for the namespaces, sets the limits and lets the script go.
func (j *job) ready(ctx context.Context, limits Limits) error {
	first := make(chan int, 1)
	go func() { first <- j.awaitInit() }()
	timer := time.NewTimer(startTime)
	defer timer.Stop()
	// Not ctx: it is quick, and only after this is there an init to kill.
	select {
	case j.init = <-first:
	case <-timer.C:
		return errors.New("the sandbox did not start in time")
	}
	if j.init <= 0 {
		return errors.New("the sandbox did not start")
	}
	var err error
	if j.pidfd, err = unix.PidfdOpen(j.init, 0); err != nil {
		return fmt.Errorf("watch the sandbox: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := j.limit(limits); err != nil {
		return err
	}
	// Should the host run out of memory all the same, this goes first. Not everywhere allowed, never needed.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", j.init), []byte("1000"), 0)
	if err := j.group.join(j.init); err != nil {
		return fmt.Errorf("join the control group: %w", err)
	}
	j.release()
	if j.door != nil {
		if err := j.door.answer(j.exited, j.proxy, j.log); err != nil {
			return err
		}
	}
	_, _ = j.gate.Write([]byte("go\n"))
	return nil
}

// rlimit is one of the kernel's limits for a process, which its children inherit.
type rlimit struct {
	name  string // as engines call it
	what  int
	value uint64
}

func rlimits(limits Limits) []rlimit {
	cpu := uint64((limits.CPU + time.Second - 1) / time.Second)
	return []rlimit{
		{"core", unix.RLIMIT_CORE, 0},
		{"nproc", unix.RLIMIT_NPROC, uint64(limits.Processes)},
		{"fsize", unix.RLIMIT_FSIZE, uint64(limits.FileSize)},
		{"nofile", unix.RLIMIT_NOFILE, uint64(limits.OpenFiles)},
		{"cpu", unix.RLIMIT_CPU, cpu},
		{"rtprio", unix.RLIMIT_RTPRIO, 0},
		{"msgqueue", unix.RLIMIT_MSGQUEUE, 1 << 20},
	}
}

// setLimits sets init's limits before it forks the script, which inherits them.
func setLimits(pid int, limits Limits) error {
	for _, limit := range rlimits(limits) {
		var old unix.Rlimit
		if err := unix.Prlimit(pid, limit.what, nil, &old); err != nil {
			return fmt.Errorf("read limit %s: %w", limit.name, err)
		}
		value := min(limit.value, old.Max)
		if err := unix.Prlimit(pid, limit.what, &unix.Rlimit{Cur: value, Max: value}, nil); err != nil {
			return fmt.Errorf("set limit %s: %w", limit.name, err)
		}
	}
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
	if j.reason != "" {
		return result, nil
	}
	end := j.end()
	switch {
	case !end.reached:
		return Result{}, fmt.Errorf("the sandbox could not be made: %.1000s", result.Output)
	case end.outOfMemory:
		result.Killed = KilledMemory // its group was gone before it was looked at
	default:
		result.ExitCode = end.code
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
	j.vessel.kill()
}

// gone waits until nothing is left. A dead init means a dead namespace: the kernel reports init only after it has
// reaped everything in it.
func (j *job) gone() {
	j.release() // a launcher that still waits goes on, and its script ends at the gate
	closeAll(j.gate)
	if j.pidfd >= 0 {
		awaitEnd(j.pidfd)
	}
	<-j.exited
	closeAll(j.outlet)
	<-j.copied
	if j.init > 0 {
		// When this program is the reaper of orphans (process 1 of a container), init is now its child.
		_, _ = unix.Wait4(j.init, nil, unix.WNOHANG, nil)
	}
}

// awaitEnd waits until a process is gone.
func awaitEnd(pidfd int) {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func (j *job) close() {
	closeAll(j.gate, j.outlet)
	j.vessel.close()
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
