package sandbox

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Find locates programs and returns the folders outside of /usr that they live in, for Options.Toolchains. A program
// that is not there, or is in /usr anyway, adds nothing.
func Find(ctx context.Context, names ...string) []string {
	homeDir, _ := os.UserHomeDir()
	var dirs []string
	for _, name := range names {
		called, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if called, err = filepath.Abs(called); err != nil {
			continue
		}
		path, err := filepath.EvalSymlinks(called)
		if err != nil {
			continue
		}
		dir := toolchainDir(path, homeDir)
		switch name {
		case "go":
			if root := rootOf(ctx, path, "env", "GOROOT"); root != "" {
				dir = root
			}
		case "rustc":
			// What is in PATH may only lead to the toolchain that rustup chose, by the name that it is called by, and by way
			// of a folder that holds more than a toolchain.
			if dir = rootOf(ctx, called, "--print", "sysroot"); dir == "" {
				continue
			}
		}
		if !within(dir, "/usr") && dir != "/bin" && dir != "/sbin" && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// toolchainDir is the folder above bin, unless that folder holds more than a toolchain: a home, ~/.local, the root.
func toolchainDir(path, home string) string {
	bin := filepath.Dir(path)
	top := filepath.Dir(bin)
	if filepath.Base(bin) != "bin" || top == "/" || filepath.Base(top) == ".local" || home != "" && within(home, top) {
		return bin
	}
	return top
}

// rootOf asks a program for the folder of its toolchain.
func rootOf(ctx context.Context, path string, args ...string) string {
	cmd := exec.CommandContext(ctx, path, args...)
	// Not the whole environment: our secrets are in it.
	for _, name := range []string{
		"PATH", "HOME", "XDG_CONFIG_HOME", "GOENV", "GOROOT", "GOTOOLCHAIN", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "CARGO_HOME",
	} {
		if value, set := os.LookupEnv(name); set {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	root, err := filepath.EvalSymlinks(strings.TrimSpace(string(out)))
	if err != nil || !filepath.IsAbs(root) {
		return ""
	}
	return root
}
