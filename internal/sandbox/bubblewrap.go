package sandbox

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// bubblewrap is the vessel of the launcher of that name. Its processes are the monitor (our child) and init (the
// monitor's child).
type bubblewrap struct {
	cmd *exec.Cmd
	// block holds the launcher until the limits are set.
	block      *os.File
	status     *json.Decoder
	statusFile *os.File
	init       int
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
	v := &bubblewrap{cmd: cmd, block: block.w, status: json.NewDecoder(io.LimitReader(status.r, 1<<16)), statusFile: status.r}
	j := &job{
		vessel: v, started: time.Now(), gate: gate.w, pidfd: -1,
		door: d, proxy: cmp.Or[http.Handler](spec.Egress, s.egress), log: s.log,
		output: newTape(spec.Limits.Output), copied: make(chan struct{}), exited: make(chan struct{}),
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start bubblewrap: %w", err)
	}
	go j.copyOutput(out.r)
	go func() {
		defer close(j.exited)
		_ = cmd.Wait()
	}()
	return j, nil
}

func (v *bubblewrap) awaitInit() int {
	var status struct {
		Child int `json:"child-pid"`
	}
	_ = v.status.Decode(&status)
	v.init = status.Child
	return v.init
}

func (v *bubblewrap) limit(limits Limits) error { return setLimits(v.init, limits) }

func (v *bubblewrap) release() {
	_, _ = v.block.Write([]byte("\n"))
	_ = v.block.Close()
}

func (v *bubblewrap) kill() { _ = v.cmd.Process.Kill() }

// end is what bubblewrap reported of the script.
func (v *bubblewrap) end() ending {
	for {
		var status struct {
			Code *int `json:"exit-code"`
		}
		if err := v.status.Decode(&status); err != nil {
			return ending{}
		}
		if status.Code != nil {
			return ending{code: *status.Code, reached: true}
		}
	}
}

func (v *bubblewrap) close() { closeAll(v.block, v.statusFile) }

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

func joinArgs(args []string) string {
	var b bytes.Buffer
	for _, arg := range args {
		b.WriteString(arg)
		b.WriteByte(0)
	}
	return b.String()
}
