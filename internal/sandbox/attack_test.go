package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// attack is what this program does inside a sandbox, where a script has no way to. It waits at its end, so that what it
// took is there to be seen.
func attack(what string) {
	switch what {
	case "memory files":
		for i := range 100 {
			pour(memfd(i), 16<<20)
		}
	case "mapped memory files":
		for i := range 100 {
			data, err := unix.Mmap(-1, 0, 16<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON)
			report(err)
			for at := 0; at < len(data); at += 4096 {
				data[at] = byte(i)
			}
		}
	case "deleted files":
		for i := range 100 {
			f, err := os.Create(fmt.Sprint("f", i))
			report(err)
			report(os.Remove(f.Name()))
			pour(f, 16<<20)
		}
	case "open files":
		n := 0
		for ; ; n++ {
			if _, err := unix.Open("/dev/null", unix.O_RDONLY, 0); err != nil {
				fmt.Println(err)
				break
			}
		}
		fmt.Println(n < 300)
		return
	case "system calls":
		calls()
		return
	case "signals":
		signals()
		return
	}
	_ = unix.Pause() // until the sandbox ends it
}

func memfd(i int) *os.File {
	fd, err := unix.MemfdCreate(fmt.Sprint(i), 0)
	report(err)
	return os.NewFile(uintptr(fd), "memfd")
}

func pour(f *os.File, size int) {
	_, err := f.Write(make([]byte, size))
	report(err)
	runtime.KeepAlive(f)
	kept = append(kept, f)
}

var kept []*os.File

func report(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(3)
	}
}

// calls tries what reaches the kernel or the host's machine, and prints what is not refused.
func calls() {
	socket := func(family int) error {
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ESOCKTNOSUPPORT) {
			err = nil // the family answered
		}
		_ = unix.Close(fd)
		return err
	}
	raw := func(number uintptr) error {
		_, _, errno := unix.Syscall6(number, 0, 0, 0, 0, 0, 0)
		if errno == unix.EPERM || errno == unix.ENOSYS {
			return errno
		}
		return nil
	}
	tries := map[string]error{
		"a socket to a virtual machine's host": socket(unix.AF_VSOCK),
		"a socket to the kernel's ciphers":     socket(unix.AF_ALG),
		"a packet socket":                      socket(unix.AF_PACKET),
		"bpf":                                  raw(unix.SYS_BPF),
		"io_uring":                             raw(unix.SYS_IO_URING_SETUP),
		"keyctl":                               raw(unix.SYS_KEYCTL),
		"userfaultfd":                          raw(unix.SYS_USERFAULTFD),
		"perf":                                 raw(unix.SYS_PERF_EVENT_OPEN),
		"the new mount calls":                  raw(unix.SYS_FSOPEN),
		"setns":                                raw(unix.SYS_SETNS),
		"the clock":                            unix.ClockSettime(unix.CLOCK_REALTIME, &unix.Timespec{Sec: 1}),
		"a user namespace":                     unix.Unshare(unix.CLONE_NEWUSER),
		"a mount":                              unix.Mount("none", "/tmp", "tmpfs", 0, ""),
		"chroot":                               unix.Chroot("/tmp"),
		"reboot":                               unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF),
		"the kernel's log":                     func() error { _, err := unix.Klogctl(3, make([]byte, 10)); return err }(),
		"a device":                             unix.Mknod("/tmp/dev", unix.S_IFBLK|0o600, int(unix.Mkdev(254, 0))),
		"root again":                           unix.Setuid(0),
	}
	for what, err := range tries {
		if err == nil {
			fmt.Println("not refused:", what)
		}
	}
	for what, family := range map[string]int{"unix": unix.AF_UNIX, "inet": unix.AF_INET, "inet6": unix.AF_INET6} {
		if err := socket(family); err != nil {
			fmt.Println("refused:", what, err)
		}
	}
	fmt.Println("done")
}

// signals tries to reach a process that the host told of.
func signals() {
	var pid int
	_, err := fmt.Sscan(os.Getenv("SANDBOX_VICTIM"), &pid)
	report(err)
	for what, err := range map[string]error{
		"signal": unix.Kill(pid, unix.SIGKILL),
		"group":  unix.Kill(-pid, unix.SIGKILL),
		"ptrace": unix.PtraceAttach(pid),
	} {
		if err == nil {
			fmt.Println("reached by", what)
		}
	}
	if _, err := unix.PidfdOpen(pid, 0); err == nil {
		fmt.Println("seen")
	}
	fmt.Println("done")
}

// attacker is a run of this program inside.
func attacker(t *testing.T, what string, limits Limits) Spec {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Spec{
		Script: `exec /attack/program`, Mounts: []Mount{{Host: self, Inside: "/attack/program"}},
		Env: map[string]string{"SANDBOX_ATTACK": what}, Limits: limits,
	}
}

// eachWatch runs a test with the control groups that this machine may have, and without.
func eachWatch(t *testing.T, test func(t *testing.T, s *Sandbox)) {
	if c := withContainers(t); c != nil {
		t.Run(c.engine.name, func(t *testing.T) {
			t.Parallel()
			test(t, c)
		})
	}
	for _, by := range []string{"as found", "by sampling"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			if by == "by sampling" {
				s.cgroups = nil
			}
			test(t, s)
		})
	}
}

func TestMemoryIsCountedWhereverItIs(t *testing.T) {
	t.Parallel()
	eachWatch(t, func(t *testing.T, s *Sandbox) {
		limits := Limits{Memory: 150 << 20, Disk: 1 << 30}
		specs := map[string]Spec{
			"in processes":           {Script: `for i in 1 2 3 4; do setsid node -e "const a=Buffer.alloc(60<<20,1);setTimeout(()=>a[0],50000)" & done; wait; sleep 50`, Limits: limits},
			"in files without names": attacker(t, "memory files", limits),
			"in shared pages":        attacker(t, "mapped memory files", limits),
			"in tmp and a process":   {Script: `head -c 100M /dev/zero >/tmp/x; node -e "const a=Buffer.alloc(80<<20,1);setTimeout(()=>a[0],50000)"`, Limits: limits},
			"in empty files":         {Script: `mkdir /tmp/d; cd /tmp/d; node -e 'const fs=require("fs");for(let i=0;i<1e6;i++)fs.closeSync(fs.openSync("f"+i,"w"))'`, Limits: limits},
		}
		for name, spec := range specs {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				res := run(t, s, spec)
				if res.Killed != KilledMemory || res.ExitCode != -1 {
					t.Errorf("got exit %d, killed %q by %s: %.300s", res.ExitCode, res.Killed, res.MemoryBy, res.Output)
				}
				if want := BySampling; s.engine == nil && s.cgroups == nil && res.MemoryBy != want {
					t.Errorf("held by %s, want %s", res.MemoryBy, want)
				}
			})
		}
	})
}

func TestAControlGroupIsUsedAndRemoved(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	if s.cgroups == nil {
		t.Log("no control groups can be made here; see TestMemoryIsCountedWhereverItIs for the other way")
		return
	}
	s.cgroups = &cgroups{s.cgroups.by, s.cgroups.parent, s.cgroups.limit, s.cgroups.swap, s.cgroups.together, s.cgroups.event}
	own, err := os.MkdirTemp(s.cgroups.parent, "sre-sandbox-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Remove(own) }()
	s.cgroups.parent = own
	if res := run(t, s, Spec{Script: "true"}); res.MemoryBy != s.cgroups.by {
		t.Errorf("held by %s", res.MemoryBy)
	}
	if left, err := filepath.Glob(own + "/" + groupPrefix + "*"); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestDiskIsCountedWhereverItIs(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		for name, spec := range map[string]Spec{
			"deleted files that are open": attacker(t, "deleted files", Limits{Disk: 100 << 20}),
			"empty files":                 {Script: `node -e 'const fs=require("fs");for(let i=0;i<1e6;i++)fs.closeSync(fs.openSync("f"+i,"w"))'`, Limits: Limits{Files: 5000}},
			"folders":                     {Script: `node -e 'const fs=require("fs");for(let i=0;i<1e6;i++)fs.mkdirSync("d"+i)'`, Limits: Limits{Files: 5000}},
			"names of one file":           {Script: `node -e 'const fs=require("fs");fs.writeFileSync("f","");for(let i=0;i<5e4;i++)fs.linkSync("f","l"+i)'; sleep 50`, Limits: Limits{Files: 5000}},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				if res := run(t, s, spec); res.Killed != KilledDisk {
					t.Errorf("got exit %d, killed %q: %.300s", res.ExitCode, res.Killed, res.Output)
				}
			})
		}
		t.Run("a sparse file of 100 GB", func(t *testing.T) {
			t.Parallel()
			want(t, s, Spec{Script: `not truncate -s 100G big 2>/dev/null; not dd if=/dev/zero of=big bs=1 count=1 seek=100G 2>/dev/null; test ! -s big`})
		})
		t.Run("open files", func(t *testing.T) {
			t.Parallel()
			if res := run(t, s, attacker(t, "open files", Limits{OpenFiles: 300})); res.Output != "too many open files\ntrue\n" {
				t.Errorf("got %+v", res)
			}
		})
	})
}

func TestTheKernelIsKeptAway(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		if res := run(t, s, attacker(t, "system calls", Limits{})); res.Output != "done\n" {
			t.Errorf("got exit %d: %s", res.ExitCode, res.Output)
		}
	})
}

func TestProcAndSysTellLittle(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		first := `not readlink /proc/1/exe /proc/1/cwd /proc/1/root >/dev/null`
		if s.engine != nil {
			first = `test "$(readlink /proc/1/cwd)" = /src` // a shell of the script's own user
		}
		hidden := "kcore keys key-users kmsg kallsyms cmdline timer_list"
		if s.Backend() == Docker {
			hidden = "kcore keys kmsg timer_list" // there is no option to hide more
		}
		want(t, s, Spec{Script: `
test ! -e /sys || test "$(ls -A /sys)" = fs || test -z "$(ls -A /sys)"; test -z "$(tr -d '\0' </proc/1/environ)"
for f in ` + hidden + `; do test -z "$(head -c 100 /proc/$f 2>/dev/null | tr -d '\0')"; done
not sh -c 'echo 1 >/proc/sys/kernel/panic' 2>/dev/null; not sh -c 'echo b >/proc/sysrq-trigger' 2>/dev/null
not sh -c 'echo -1000 >/proc/self/oom_score_adj' 2>/dev/null
test "$(cat /proc/self/oom_score_adj)" = 1000 || test "$(cat /proc/self/oom_score_adj)" = 0
test "$(hostname 2>/dev/null || cat /proc/sys/kernel/hostname)" = sandbox
` + first + `
for p in /proc/[0-9]*; do ls -l $p/fd 2>/dev/null | grep -v -e pipe: -e /dev/null -e /proc/ -e /run/sre-agent/ -e ^total && exit 1; done; true`})
	})
}

func TestOthersProcessesAreOutOfReach(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		cmd := exec.CommandContext(t.Context(), "/bin/sleep", "600")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
		spec := attacker(t, "signals", Limits{})
		spec.Env["SANDBOX_VICTIM"] = fmt.Sprint(cmd.Process.Pid)
		if res := run(t, s, spec); res.Output != "done\n" {
			t.Errorf("got %+v", res)
		}
		// All that it may signal are its own.
		run(t, s, Spec{Script: `kill -KILL -1; kill -KILL 1; sleep 0`})
		if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("the other process is gone: %v", err)
		}
	})
}

func TestASharedCacheCanNotBeWritten(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		cache := t.TempDir()
		write(t, filepath.Join(cache, "module"), "good\n")
		if err := os.Chmod(cache, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(cache, "module"), 0o666); err != nil {
			t.Fatal(err)
		}
		want(t, s, Spec{Mounts: []Mount{{Host: cache, Inside: "/cache/go"}}, Script: `
for try in 'echo evil >/cache/go/module' 'rm -f /cache/go/module' 'mv /cache/go/module /cache/go/x' 'ln -s /x /cache/go/y' 'chmod 0 /cache/go/module' \
	'touch /cache/go/module' 'mount -o remount,rw /cache/go' 'echo evil >/proc/self/root/cache/go/module' 'ln /cache/go/module /src/m && echo evil >/src/m' 'truncate -s 0 /cache/go/module' 'mv /cache /c' 'rm -r /cache/go'
do not sh -c "$try" 2>/dev/null; done`})
		if got, err := os.ReadFile(filepath.Join(cache, "module")); err != nil || string(got) != "good\n" {
			t.Errorf("the cache has %q, %v", got, err)
		}
	})
}

// TestWhatARunPlantedIsNotFollowedByTheNext: the next run hands the tree over to another user, file by file.
func TestWhatARunPlantedIsNotFollowedByTheNext(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		outside, dir := t.TempDir(), t.TempDir()
		secret := filepath.Join(outside, "secret")
		write(t, secret, "s")
		if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
			t.Fatal(err)
		}
		owner := func() string {
			var st syscall.Stat_t
			if err := syscall.Stat(secret, &st); err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint(st.Uid, st.Gid, st.Mode)
		}
		before := owner()
		run(t, s, Spec{Dir: dir, Script: `ln -s ` + secret + ` link; rmdir d; ln -s ` + outside + ` d; ln -s /proc/self/cwd loop; ln -s . here; mkfifo pipe`})
		want(t, s, Spec{Dir: dir, Script: `test -L link; test -L d; test ! -e link; echo x >new`})
		if after := owner(); after != before {
			t.Errorf("what a link leads to was %s and is %s", before, after)
		}
	})
}

func TestScriptsThatDoNotWantToEnd(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		for name, script := range map[string]string{
			"closes its input and output":        `exec <&- >&- 2>&-; sleep 1000`,
			"ignores every signal":               `trap "" TERM INT HUP QUIT PIPE; while :; do sleep 1; done`,
			"sleeps a little, for ever":          `while :; do sleep 0.001; done`,
			"turns for ever":                     `while :; do :; done`,
			"stops itself":                       `kill -STOP $$; sleep 1000`,
			"writes for ever":                    `exec yes`,
			"writes for ever from many":          `for i in 1 2 3 4; do yes & done; wait; sleep 1000`,
			"leaves its output to a daemon":      `(setsid sh -c 'exec yes' &); sleep 1000`,
			"waits for an answer from its input": `while :; do read x || sleep 0.1; done`,
			"forks without an end, one by one":   `while :; do (:); done`,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				begin := time.Now()
				res := run(t, s, Spec{Script: ": " + marker() + "; " + script, Limits: Limits{Time: time.Second, Output: 10_000, Processes: 64}})
				if res.Killed != KilledTimeout || len(res.Output) > 10_200 {
					t.Errorf("killed %q, exit %d, %d bytes", res.Killed, res.ExitCode, len(res.Output))
				}
				if took := time.Since(begin); took > 20*time.Second {
					t.Errorf("took %v", took)
				}
			})
		}
	})
}

func TestTheMarkOfSeccompIsThere(t *testing.T) {
	t.Parallel()
	if _, known := architectures[runtime.GOARCH]; !known {
		t.Logf("no filter for %s", runtime.GOARCH)
		return
	}
	if res := run(t, newSandbox(t), Spec{Script: `grep "^Seccomp:" /proc/self/status`}); strings.Fields(res.Output)[1] != "2" {
		t.Errorf("got %s", res.Output)
	}
}
