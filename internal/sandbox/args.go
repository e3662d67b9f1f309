package sandbox

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The user that the script runs as, as it is called inside.
const insideID = 1000

const home = "/tmp/home"

// launch collects bubblewrap's arguments and the files that it inherits. The arguments travel by a file, so that
// they are in nobody's process list, neither the host's nor the sandbox's.
type launch struct {
	args  []string
	files []*os.File
	made  []string
}

// firstFD is where os/exec puts the first of ExtraFiles.
const firstFD = 3

func (l *launch) add(args ...string) { l.args = append(l.args, args...) }

// place makes the folders above a mount point, open to read for the script's user; bubblewrap's own are not.
func (l *launch) place(path string) {
	for i := 1; i < len(path); i++ {
		if dir := path[:i]; path[i] == '/' && !slices.Contains(l.made, dir) {
			l.made = append(l.made, dir)
			l.add("--perms", "0755", "--dir", dir)
		}
	}
}

// inherit passes f on and returns its number in the launcher.
func (l *launch) inherit(f *os.File) string {
	l.files = append(l.files, f)
	return strconv.Itoa(firstFD + len(l.files) - 1)
}

// data makes a read-only file inside with the given content.
func (l *launch) data(path, content string) error {
	f, err := memoryFile(content)
	if err != nil {
		return err
	}
	l.place(path)
	l.add("--perms", "0444", "--ro-bind-data", l.inherit(f), path)
	return nil
}

func (l *launch) close() {
	for _, f := range l.files {
		_ = f.Close()
	}
}

func memoryFile(content string) (*os.File, error) {
	fd, err := unix.MemfdCreate("sandbox", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd: %w", err)
	}
	f := os.NewFile(uintptr(fd), "memfd")
	if _, err := f.WriteString(content); err != nil {
		_ = f.Close()
		return nil, err
	}
	if _, err := f.Seek(0, 0); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// build fills l with everything that the sandbox consists of.
func (s *Sandbox) build(l *launch, spec Spec, id identity, d *door) error {
	l.add("--die-with-parent", "--new-session", "--clearenv", "--hostname", "sandbox")
	if id.mapped {
		// The user namespace is already there, made by Go with two users in it, so only the others are left.
		l.add("--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try", "--unshare-net")
		// setpriv needs these two for the step from the namespace's root to the script's user; they die with it.
		l.add("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
	} else {
		l.add("--unshare-all", "--unshare-user", "--disable-userns",
			"--uid", strconv.Itoa(insideID), "--gid", strconv.Itoa(insideID), "--cap-drop", "ALL")
	}
	// The script's home is made below, and what is in /usr is there.
	l.made = []string{"/usr", "/tmp", home}
	l.system()
	scratch := strconv.FormatInt(min(spec.Limits.Disk, spec.Limits.Memory), 10)
	l.add("--proc", "/proc")
	for _, path := range hiddenProc {
		if _, err := os.Lstat(path); err == nil {
			l.add("--ro-bind", "/dev/null", path)
		}
	}
	l.add("--dev", "/dev", "--perms", "1777", "--size", "16777216", "--tmpfs", "/dev/shm", "--remount-ro", "/dev")
	l.add("--perms", "1777", "--size", scratch, "--tmpfs", "/tmp", "--perms", "0777", "--dir", home)
	if err := l.etc(); err != nil {
		return err
	}
	for _, dir := range s.toolchains {
		l.place(dir)
		l.add("--ro-bind", dir, dir)
	}
	for _, m := range spec.Mounts {
		l.place(m.Inside)
		l.add(bindFlag(m.Writable), m.Host, m.Inside)
	}
	l.add("--bind", spec.Dir, Source, "--chdir", "/")
	env := s.environment(spec)
	if bundle := env["SSL_CERT_FILE"]; spec.Network && bundle == insideCABundle {
		l.place(insideCABundle)
		l.add("--ro-bind", s.caBundle, insideCABundle)
	}
	if d != nil {
		l.place(insideHelper)
		l.add("--ro-bind", s.helper, insideHelper, "--ro-bind", d.path(), insideDoor)
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		l.add("--setenv", name, env[name])
	}
	l.add("--remount-ro", "/")
	if s.filter != nil {
		f, err := memoryFile(string(s.filter))
		if err != nil {
			return err
		}
		l.add("--seccomp", l.inherit(f))
	}
	return nil
}

func bindFlag(writable bool) string {
	if writable {
		return "--bind"
	}
	return "--ro-bind"
}

// hiddenProc are files of /proc that tell of the whole machine, whatever the namespace.
var hiddenProc = []string{
	"/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/kmsg", "/proc/kallsyms", "/proc/cmdline", "/proc/timer_list", "/proc/sched_debug", "/proc/latency_stats",
}

// system shows /usr, and the top folders as the host has them: as links into /usr, or as folders.
func (l *launch) system() {
	l.add("--ro-bind", "/usr", "/usr")
	for _, dir := range []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"} {
		info, err := os.Lstat(dir)
		if err != nil {
			continue
		}
		if target, err := os.Readlink(dir); err == nil {
			l.add("--symlink", target, dir)
		} else if info.IsDir() {
			l.add("--ro-bind", dir, dir)
		}
	}
}

// publicEtc holds nothing that identifies or authenticates: links, caches and public certificates. /etc/ssl/private
// is left out on purpose.
var publicEtc = []string{
	"/etc/alternatives", "/etc/ld.so.cache", "/etc/ssl/certs", "/etc/ssl/openssl.cnf",
	"/etc/ca-certificates", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted",
}

func (l *launch) etc() error {
	for _, path := range publicEtc {
		if _, err := os.Stat(path); err == nil {
			l.place(path)
			l.add("--ro-bind", path, path)
		}
	}
	files := map[string]string{
		"/etc/passwd": fmt.Sprintf("root:x:0:0:root:/:/bin/false\nsandbox:x:%d:%d:sandbox:%s:/bin/sh\n", insideID, insideID, home),
		"/etc/group":  fmt.Sprintf("root:x:0:\nsandbox:x:%d:\n", insideID),
		"/etc/hosts":  "127.0.0.1 localhost sandbox\n::1 localhost sandbox\n",
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := l.data(path, files[path]); err != nil {
			return err
		}
	}
	return nil
}

const insideCABundle = "/etc/ssl/sandbox-ca.pem"

func (s *Sandbox) environment(spec Spec) map[string]string {
	env := map[string]string{
		"CI": "true", "HOME": home, "LANG": "C.UTF-8", "TMPDIR": "/tmp", "PATH": s.path(),
	}
	if spec.Network {
		maps.Copy(env, proxyEnvironment())
	}
	if spec.Network && s.caBundle != "" {
		for _, name := range []string{"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "npm_config_cafile"} {
			env[name] = insideCABundle
		}
	}
	maps.Copy(env, spec.Env)
	return env
}

func (s *Sandbox) path() string {
	dirs := []string{"/usr/local/go/bin", "/usr/local/bin", "/usr/bin", "/bin"}
	if s.engine != nil {
		if path := s.engine.image.environment()["PATH"]; path != "" {
			dirs = strings.Split(path, ":")
		}
	}
	for _, dir := range s.toolchains {
		bin := filepath.Join(dir, "bin")
		if filepath.Base(dir) == "bin" {
			bin = dir
		}
		// Before the system's, so that the newer toolchain that somebody installed beside it wins.
		dirs = slices.Insert(dirs, 0, bin)
	}
	return strings.Join(dirs, ":")
}

func findCABundle() string {
	for _, path := range []string{
		os.Getenv("SSL_CERT_FILE"),
		"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
	} {
		if path == "" {
			continue
		}
		if real, err := filepath.EvalSymlinks(path); err == nil {
			if info, err := os.Stat(real); err == nil && info.Mode().IsRegular() {
				return real
			}
		}
	}
	return ""
}
