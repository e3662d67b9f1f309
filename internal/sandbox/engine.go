package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// dialect is what differs between the container engines. The rest of their command lines is the same.
type dialect struct {
	name string
	// variants are global options to try: the engine's own settings first, then what machines without systemd need.
	variants [][]string
	// create are options of create that only this engine has.
	create []string
	// rootless are further ones, for a service that is not root.
	rootless []string
	install  string
}

var dialects = []dialect{
	{
		name:     Podman,
		variants: [][]string{nil, {"--cgroup-manager", "cgroupfs"}, {"--cgroup-manager", "cgroupfs", "--runtime", "runc"}},
		create: []string{
			"--read-only-tmpfs=false",  // no further writable folders
			"--http-proxy=false",       // it would pass the runner's proxy on
			"--image-volume", "ignore", // refused anyway, see inspectImage
			"--no-hosts",
			"--security-opt", "mask=" + strings.Join(hiddenProc, ":"),
		},
		rootless: []string{"--userns", "keep-id"},
		install:  "install it (Debian, Ubuntu: apt-get install podman runc)",
	},
	{
		name:     Docker,
		variants: [][]string{nil},
		install:  "install it and start its daemon (Debian, Ubuntu: apt-get install docker.io)",
	},
}

// engine runs containers of one image.
type engine struct {
	dialect
	bin    string
	global []string
	image  image
}

// image is what the engine says of it. It is used by its id, so that a name that moves changes nothing.
type image struct {
	ID     string `json:"Id"`
	Config struct {
		Env     []string
		Volumes map[string]struct{}
	}
}

// commandTime is how long one command of an engine may take.
const commandTime = time.Minute

// engineEnvironment is how an engine finds its settings, its storage and its daemon. Nothing else of ours reaches it.
var engineEnvironment = []string{
	"PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "DBUS_SESSION_BUS_ADDRESS",
	"CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH",
}

func (e *engine) command(ctx context.Context, args ...string) *exec.Cmd {
	return e.prepared(exec.CommandContext(ctx, e.bin, append(e.global[:len(e.global):len(e.global)], args...)...))
}

// prepared gives a command the engine's surroundings.
func (e *engine) prepared(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env, cmd.Dir = []string{}, "/"
	for _, name := range engineEnvironment {
		if value, set := os.LookupEnv(name); set {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second // a monitor that it leaves behind may hold its output
	return cmd
}

// do runs one command of the engine and returns what it prints.
func (e *engine) do(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	cmd := e.command(ctx, args...)
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	var out, said strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return "", fmt.Errorf("%s %s: %w: %.1000s", e.name, args[0], err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// useEngine takes a container engine as the backend when a container really runs.
func (s *Sandbox) useEngine(ctx context.Context, d dialect, name string) error {
	if name == "" {
		return fmt.Errorf("sandbox: %s needs an image: set SANDBOX_IMAGE to one that has the tools of your repositories", d.name)
	}
	if os.Geteuid() == 0 && s.ids.count == 0 {
		return fmt.Errorf("sandbox: %s: there is no user to spare for a script, which must not be root: start the runner as an ordinary user", d.name)
	}
	e := &engine{dialect: d}
	var err error
	if e.bin, err = exec.LookPath(d.name); err != nil {
		return fmt.Errorf("sandbox: no %s: %w: %s", d.name, err, d.install)
	}
	if e.bin, err = filepath.Abs(e.bin); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if err := e.inspectImage(ctx, name); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	var failed []error
	for _, variant := range d.variants {
		s.engine, e.global = e, variant
		err := s.probe(ctx)
		if err == nil {
			e.sweep(ctx, s.log)
			return nil
		}
		failed = append(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	s.engine = nil
	return fmt.Errorf("sandbox: %s is there but no container of %s works: %w: run one by hand to see why (%s run --rm --network none %s true); "+
		"the image needs /bin/sh, env, mkdir and cat, and the engine must be on this machine, with the same files and processes", d.name, name, errors.Join(failed...), d.name, name)
}

func (e *engine) inspectImage(ctx context.Context, name string) error {
	if strings.HasPrefix(name, "-") {
		return fmt.Errorf("SANDBOX_IMAGE %q is no image", name)
	}
	said, err := e.do(ctx, "image", "inspect", name)
	if err != nil {
		return fmt.Errorf("SANDBOX_IMAGE %q: %w: images are not fetched by themselves: %s pull %s", name, err, e.name, name)
	}
	var found []image
	if err := json.Unmarshal([]byte(said), &found); err != nil || len(found) != 1 || found[0].ID == "" {
		return fmt.Errorf("SANDBOX_IMAGE %q: %s image inspect says %.200q", name, e.name, said)
	}
	e.image = found[0]
	if len(e.image.Config.Volumes) > 0 {
		return fmt.Errorf("SANDBOX_IMAGE %q declares volumes, which a script could fill without a bound: build it without VOLUME", name)
	}
	return nil
}

// environment is the image's own, by name.
func (i image) environment() map[string]string {
	env := map[string]string{}
	for _, entry := range i.Config.Env {
		if name, value, found := strings.Cut(entry, "="); found && envName.MatchString(name) {
			env[name] = value
		}
	}
	return env
}
