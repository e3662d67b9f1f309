package sandbox

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// testEngine is the container engine that the tests use. SANDBOX_TEST_ENGINE may name the other one, or none where no
// container can run; that is the tester's word, never the tests' own.
func testEngine() string {
	if name := os.Getenv("SANDBOX_TEST_ENGINE"); name != "" {
		return name
	}
	return Podman
}

// eachBackend runs a test on every way to make a sandbox.
func eachBackend(t *testing.T, test func(t *testing.T, s *Sandbox)) {
	t.Helper()
	t.Run(Bubblewrap, func(t *testing.T) {
		t.Parallel()
		test(t, newSandbox(t))
	})
	engine := testEngine()
	if engine == "none" {
		t.Log("NOT TESTED in a container: SANDBOX_TEST_ENGINE=none")
		return
	}
	t.Run(engine, func(t *testing.T) {
		t.Parallel()
		test(t, newContainers(t))
	})
}

// containers is made once: the image is large, and the probe slow.
var containers struct {
	sync.Once
	box      *Sandbox
	imported bool
	err      error
}

// newContainers is a sandbox of the test's engine.
func newContainers(t *testing.T) *Sandbox {
	t.Helper()
	containers.Do(func() {
		if containers.err = importTestImage(); containers.err == nil {
			containers.imported = true
			containers.box, containers.err = New(t.Context(), Options{Backend: testEngine(), Image: testImage})
		}
	})
	if containers.err != nil {
		t.Fatalf("%v\nA machine that can't run containers at all says SANDBOX_TEST_ENGINE=none: then this backend is not tested.", containers.err)
	}
	s := *containers.box
	return &s
}

var testImage = fmt.Sprintf("localhost/sre-agent-sandbox-test:%d", os.Getpid())

// testPrograms are in the test's image.
var testPrograms = strings.Fields(`bash cat chmod chown cut date dd env find grep head hostname id ln ls mkdir mkfifo mount mv node readlink
	rm rmdir setsid sh sleep sort tail tee touch tr truncate unshare wc xargs yes`)

// importTestImage makes an image of this machine's programs, as there may be no registry to fetch one from.
func importTestImage() error {
	read, write := io.Pipe()
	go func() { write.CloseWithError(writeTestRoot(write)) }()
	cmd := exec.Command(testEngine(), "import", "-", testImage)
	cmd.Stdin = read
	out, err := cmd.CombinedOutput()
	_ = read.Close()
	if err != nil {
		return fmt.Errorf("make the test's image with %s: %w: %s", testEngine(), err, out)
	}
	return nil
}

func removeTestImage() {
	if containers.imported {
		_ = exec.Command(testEngine(), "rmi", "--force", testImage).Run()
	}
}

var library = regexp.MustCompile(`/\S+`)

// writeTestRoot writes a root with the programs, and the libraries that they and this program need.
func writeTestRoot(to io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	files := map[string]string{} // in the image, on this machine
	wanted := []string{self}
	for _, name := range testPrograms {
		path, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		files["usr/bin/"+name] = path
		wanted = append(wanted, path)
	}
	// It fails for programs without libraries, and says the others' all the same.
	found, _ := exec.Command("ldd", wanted...).Output()
	for line := range strings.Lines(string(found)) {
		for _, path := range library.FindAllString(strings.TrimSuffix(strings.TrimSpace(line), ":"), 1) {
			if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil && strings.Contains(path, ".so") {
				files[strings.TrimPrefix(filepath.Join(dir, filepath.Base(path)), "/")] = path
			}
		}
	}
	w := tar.NewWriter(to)
	for _, dir := range []string{"usr", "usr/bin", "usr/lib", "usr/lib64", "usr/local", "etc", "opt", "tmp", "proc", "dev", "run", "src", "sys"} {
		mode := int64(0o755)
		if dir == "tmp" {
			mode = 0o1777 // as everywhere; runc gives it to what is mounted there
		}
		if err := w.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: mode}); err != nil {
			return err
		}
	}
	for _, dir := range []string{"bin", "lib", "lib64"} {
		if err := w.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeSymlink, Linkname: "usr/" + dir}); err != nil {
			return err
		}
	}
	for name, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content))}); err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	return w.Close()
}

// ours lists the containers of the given sandbox's engine by their names.
func ours(t *testing.T, s *Sandbox, filter string) []string {
	t.Helper()
	said, err := s.engine.do(t.Context(), "ps", "--all", "--format", "{{.Names}}", "--filter", filter)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(said)
}

func withContainers(t *testing.T) *Sandbox {
	t.Helper()
	if testEngine() == "none" {
		t.Log("NOT TESTED in a container: SANDBOX_TEST_ENGINE=none")
		return nil
	}
	return newContainers(t)
}

func TestAContainerIsRemovedAndItsRoomCleared(t *testing.T) {
	t.Parallel()
	s := withContainers(t)
	if s == nil {
		return
	}
	dir := t.TempDir()
	res := run(t, s, Spec{Dir: dir, Script: "cat /proc/self/mountinfo >mounts"})
	mounts, err := os.ReadFile(filepath.Join(dir, "mounts"))
	name := regexp.MustCompile(`sandbox-run-\d+`).FindString(string(mounts))
	if err != nil || name == "" || res.ExitCode != 0 {
		t.Fatalf("%v, %+v: %s", err, res, mounts)
	}
	if left := ours(t, s, "name=sre-agent-"+name); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := os.Stat(filepath.Join(os.TempDir(), name)); err == nil {
		t.Errorf("%s is left", name)
	}
	if res.MemoryBy == BySampling && s.cgroups != nil {
		t.Errorf("the engine's control group was not found")
	}
}

// TestLeftoverContainersAreSwept: a runner and the guard of its container may be killed together.
func TestLeftoverContainersAreSwept(t *testing.T) {
	t.Parallel()
	s := withContainers(t)
	if s == nil {
		return
	}
	later := time.Now().Add(time.Hour)
	dead := ownerNow(later)
	dead.born = "1"
	other := ownerNow(later)
	other.namespace = "pid:[1]"
	late := ownerNow(time.Now().Add(-time.Second))
	names := map[string]string{"dead": dead.String(), "alive": ownerNow(later).String(), "other": other.String(), "late": late.String(), "nonsense": "x"}
	var kept []string
	for what, value := range names {
		name := "sre-agent-test-" + what + "-" + marker()
		if _, err := s.engine.do(t.Context(), "create", "--name", name, "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=512:512", "--label", label+"="+value, s.engine.image.ID, "sleep", "1"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = exec.Command(s.engine.bin, "rm", "--force", name).Run() })
		if what == "alive" || what == "other" {
			kept = append(kept, name)
		}
	}
	s.engine.sweep(t.Context(), s.log)
	left := ours(t, s, "name=sre-agent-test-")
	slices.Sort(left)
	slices.Sort(kept)
	if !slices.Equal(left, kept) {
		t.Errorf("left are %v, want %v", left, kept)
	}
}

func TestOwnersAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	o := ownerNow(time.Unix(1_700_000_000, 0))
	if got, ok := parseOwner(o.String()); !ok || got != o || o.born == "" || o.namespace == "" {
		t.Errorf("%+v became %+v, %v", o, got, ok)
	}
}

func TestABackendThatIsNamedIsNeverReplaced(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	write(t, filepath.Join(bin, "podman"), "#!/bin/sh\n[ \"$1\" = image ] && echo '[{\"Id\":\"abc\"}]' && exit\necho 'Error: OCI runtime error: no cgroups here' >&2; exit 126\n")
	if err := os.Chmod(filepath.Join(bin, "podman"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		opts Options
		says []string
	}{
		"podman without an image": {Options{Backend: Podman}, []string{"podman needs an image", "SANDBOX_IMAGE"}},
		"docker without an image": {Options{Backend: Docker}, []string{"docker needs an image"}},
		"an unknown one":          {Options{Backend: "chroot"}, []string{`no backend "chroot"`}},
		"an image like an option": {Options{Backend: testEngine(), Image: "--privileged"}, []string{"is no image"}},
		"an image that is absent": {Options{Backend: testEngine(), Image: "localhost/nowhere:1"}, []string{"localhost/nowhere:1", testEngine() + " pull localhost/nowhere:1"}},
	} {
		if testEngine() == "none" && test.opts.Image != "" {
			continue
		}
		s, err := New(t.Context(), test.opts)
		if err == nil {
			t.Errorf("%s: got %s", name, s.Backend())
			continue
		}
		for _, part := range test.says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q is missing in: %v", name, part, err)
			}
		}
	}
	// An engine that is there and can't run a container.
	s := newSandbox(t)
	s.bin = ""
	d := dialects[0]
	d.name = filepath.Join(bin, "podman")
	err := s.useEngine(t.Context(), d, "image")
	if err == nil || s.engine != nil || !strings.Contains(err.Error(), "no cgroups here") || !strings.Contains(err.Error(), "run one by hand") {
		t.Errorf("got %v", err)
	}
}

func TestAutoTakesWhatWorks(t *testing.T) {
	t.Parallel()
	s, err := New(t.Context(), Options{})
	if err != nil || s.Backend() != Bubblewrap {
		t.Errorf("without an image: %v", err)
	}
	s, err = New(t.Context(), Options{Backend: Auto, Image: "localhost/nowhere:1"})
	if err != nil || s.Backend() != Bubblewrap {
		t.Errorf("with an image that is absent: %v", err)
	}
	if withContainers(t) == nil {
		return
	}
	s, err = New(t.Context(), Options{Backend: Auto, Image: testImage})
	if err != nil || s.Backend() != testEngine() {
		t.Errorf("with an image: %v", err)
	}
}

func TestTheEngineIsToldOnlyLimitsAndPaths(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.engine = &engine{dialect: dialects[1], image: image{ID: "abc"}}
	c := &container{engine: s.engine, name: "n", dir: "/d"}
	spec := Spec{Script: "echo the-script", Dir: "/a,b", Env: map[string]string{"X": "the-value"}, Limits: DefaultLimits()}
	args, err := s.containerArgs(c, spec, identity{uid: 200_001, mapped: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(args, "\n")
	for _, part := range []string{"the-script", "the-value", canaryValue} {
		if strings.Contains(all, part) {
			t.Errorf("%q is in the arguments:\n%s", part, all)
		}
	}
	for _, part := range []string{
		"--network\nnone", "--read-only", "--user\n200001:200001", "--cap-drop\nALL", "--security-opt\nno-new-privileges", "--pull\nnever",
		"type=bind,\"source=/a,b\",target=/src\n", "type=bind,source=/d/inside,target=/run/sre-agent,readonly",
	} {
		if !strings.Contains(all, part) {
			t.Errorf("%q is missing in the arguments:\n%s", part, all)
		}
	}
	if script := s.startScript(spec, false); !strings.Contains(script, "the-value") || !strings.Contains(script, "the-script") {
		t.Errorf("got %s", script)
	}
}

func TestQuotedTextIsOneWord(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a b", "it's", "'", "$(id)`id`\\", "a\nb", "-n", "\"*\""} {
		out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", "printf %s "+quote(text)).Output()
		if err != nil || string(out) != text {
			t.Errorf("%q became %q, %v", text, out, err)
		}
	}
}

func TestAnImageThatDeclaresVolumesIsRefused(t *testing.T) {
	t.Parallel()
	s := withContainers(t)
	if s == nil {
		return
	}
	name := testImage + "-volume"
	cmd := exec.CommandContext(t.Context(), s.engine.bin, "import", "--change", "VOLUME /data", "-", name)
	var empty bytes.Buffer
	if err := tar.NewWriter(&empty).Close(); err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = &empty
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command(s.engine.bin, "rmi", "--force", name).Run() })
	if _, err := New(t.Context(), Options{Backend: testEngine(), Image: name}); err == nil || !strings.Contains(err.Error(), "VOLUME") {
		t.Errorf("got %v", err)
	}
}

func TestTheSeccompProfileNamesWhatTheFilterForbids(t *testing.T) {
	t.Parallel()
	profile := string(seccompProfile())
	for _, call := range forbidden {
		if !strings.Contains(profile, `"`+call.name+`"`) {
			t.Errorf("%s is missing", call.name)
		}
	}
	for _, family := range []int{unix.AF_VSOCK, unix.AF_ALG, unix.AF_PACKET} {
		if last := slices.Max(families); uint32(family) <= last && !strings.Contains(profile, fmt.Sprintf(`"index":0,"value":%d,`, family)) {
			t.Errorf("family %d is missing", family)
		}
	}
}
