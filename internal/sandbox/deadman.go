package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// watchdog reads beats, and kills a process when none comes for a while. The end of its input means that there is
// nothing to watch any more. It is a program of its own because a program that is stopped can't end anything.
const watchdog = `while :; do
	IFS= read -r -t "$1" _ && continue
	[ $? -gt 128 ] && kill -KILL "$2" && exit 9
	exit 0
done`

// deadman ends a sandbox when this program is stopped for longer than its work may go on without it: a lease that it
// does not renew is somebody else's then, and the stopped program can't end its own work.
type deadman struct {
	beats *os.File
	stop  chan struct{}
	ended chan struct{}
	fired bool
}

// startDeadman starts one over a process. It needs bash, whose read can wait for a time.
func startDeadman(pid int, silence time.Duration) (*deadman, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	seconds := strconv.FormatFloat(silence.Seconds(), 'f', 3, 64)
	cmd := exec.Command("/bin/bash", "-c", watchdog, "bash", seconds, strconv.Itoa(pid)) //nolint:noctx // it ends with its input
	cmd.Env, cmd.Dir, cmd.Stdin = []string{}, "/", r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's stop is not for it
	if err := cmd.Start(); err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("start the watchdog: %w", err)
	}
	d := &deadman{beats: w, stop: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(d.ended)
		_ = cmd.Wait()
		d.fired = cmd.ProcessState.ExitCode() == 9
	}()
	go d.beat(silence / 5)
	return d, nil
}

func (d *deadman) beat(every time.Duration) {
	defer func() { _ = d.beats.Close() }()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := d.beats.Write([]byte("\n")); err != nil {
				return
			}
		case <-d.stop:
			return
		case <-d.ended:
			return
		}
	}
}

// close ends the watch and says whether the process was killed.
func (d *deadman) close() (fired bool) {
	if d == nil {
		return false
	}
	close(d.stop)
	<-d.ended
	return d.fired
}
