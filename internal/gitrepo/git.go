// Package gitrepo reads repositories that nobody trusts, by running the git program.
//
// It promises:
//   - No configuration, hook, attribute, filter, helper or link of the host or of a repository has a say in what git
//     does. Git for the host never opens the .git folder that sandboxed code can write to.
//   - A token travels in memory that only the one git command which talks to the remote can open, scoped to its URL:
//     never in an argument, an environment, a URL, a file with a name, a log or an error.
//   - Only http and https are spoken; names of refs, commits and URLs are checked before git sees them.
//   - Output is bounded, and cancelling kills the whole process group.
//   - It can't push: that takes an option which only internal/gitpush sets.
//
// docs/security.md lists each setting and why it is there.
package gitrepo

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Remote is a repository on a forge. Username may be empty (forges that only look at the token).
type Remote struct{ URL, Username, Token string }

// LogValue keeps the token out of logs, whoever logs a Remote.
func (r Remote) LogValue() slog.Value { return slog.StringValue(r.URL) }

// String keeps the token out of messages.
func (r Remote) String() string { return r.URL }

// GoString keeps the token out of %#v.
func (r Remote) GoString() string { return "gitrepo.Remote{" + strconv.Quote(r.URL) + "}" }

// Git runs the git program. It is safe for concurrent use.
type Git struct {
	bin       string
	log       *slog.Logger
	env       []string // the same for each command
	settings  map[string]string
	protocols string
	push      bool
}

// Option changes what New makes.
type Option func(*Git)

// AllowPush lets Run push. Only internal/gitpush may use it.
func AllowPush() Option { return func(g *Git) { g.push = true } }

// CAFile names the file of trusted certificates; by default SSL_CERT_FILE says it, else git's own are used.
func CAFile(path string) Option { return func(g *Git) { g.settings["http.sslCAInfo"] = path } }

// New finds git (an empty bin looks in PATH) and checks that it is 2.34 or newer.
func New(bin string, log *slog.Logger, opts ...Option) (*Git, error) {
	if bin == "" {
		bin = "git"
	}
	path, err := exec.LookPath(bin)
	if err != nil {
		return nil, fmt.Errorf("gitrepo: no git program: %w", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("gitrepo: %w", err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	g := &Git{bin: path, log: log, settings: maps.Clone(settings), protocols: "http:https"}
	if ca := os.Getenv("SSL_CERT_FILE"); ca != "" {
		CAFile(ca)(g)
	}
	for _, opt := range opts {
		opt(g)
	}
	g.env = g.environment()
	out, err := g.Run(context.Background(), Cmd{Args: []string{"version"}})
	if err != nil {
		return nil, fmt.Errorf("gitrepo: %w", err)
	}
	if !recent(string(out)) {
		return nil, fmt.Errorf("gitrepo: %s is %q; 2.34 or newer is needed", path, strings.TrimSpace(string(out)))
	}
	return g, nil
}

var versionNumber = regexp.MustCompile(`^git version (\d+)\.(\d+)`)

func recent(version string) bool {
	m := versionNumber.FindStringSubmatch(version)
	if m == nil {
		return false
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return major > 2 || major == 2 && minor >= 34
}

// Cmd is one git command.
type Cmd struct {
	// Args begin with the subcommand.
	Args []string
	// GitDir, WorkTree and IndexFile are passed on when set. Git never searches for a repository.
	GitDir, WorkTree, IndexFile string
	// Objects is a further object directory to read from.
	Objects string
	// Remote is set for commands that talk to it; it is called origin.
	Remote *Remote
	Stdin  []byte
	// Config and Env add to the fixed ones.
	Config map[string]string
	Env    map[string]string
	// MaxOutput bounds standard output; zero means 16 MiB. More is ErrTooLarge.
	MaxOutput int64
}

// ErrTooLarge says that a command's output exceeded Cmd.MaxOutput.
var ErrTooLarge = errors.New("git's output is too large")

// Error is a git command that failed. It holds no secret.
type Error struct {
	Command  string
	ExitCode int
	Stderr   string
}

func (e *Error) Error() string {
	return fmt.Sprintf("git %s: exit %d: %s", e.Command, e.ExitCode, strings.TrimSpace(e.Stderr))
}

// commands are the subcommands that Run knows: all plumbing, or as good as.
var commands = []string{
	"apply", "cat-file", "commit-tree", "diff-index", "fetch", "hash-object", "ls-files", "ls-remote", "ls-tree",
	"read-tree", "repack", "rev-list", "rev-parse", "update-index", "update-ref", "version", "write-tree",
}

func (g *Git) allowed(args []string) error {
	if len(args) == 0 {
		return errors.New("no git command")
	}
	if slices.Contains(commands, args[0]) || (args[0] == "push" || args[0] == "format-patch") && g.push {
		return nil
	}
	return fmt.Errorf("git %q is not allowed here", args[0])
}

// environment is what git gets of the host's: where programs are, and how to reach the network.
func (g *Git) environment() []string {
	env := []string{
		"PATH=/usr/local/bin:/usr/bin:/bin",
		"HOME=/nonexistent",
		"XDG_CONFIG_HOME=/nonexistent",
		"LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_ASKPASS=true",
		"GIT_ALLOW_PROTOCOL=" + g.protocols,
		"GIT_PROTOCOL_FROM_USER=0",
		"GIT_NO_REPLACE_OBJECTS=1",
		"GIT_NO_LAZY_FETCH=1",
		"GIT_LITERAL_PATHSPECS=1",
		"GIT_OPTIONAL_LOCKS=0",
		"GIT_LFS_SKIP_SMUDGE=1",
		"GIT_PAGER=cat",
		"GIT_EDITOR=false",
	}
	for _, name := range []string{"http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"} {
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// commandEnv is the whole environment of one command, with the settings. No secret is in it.
func (g *Git) commandEnv(cmd Cmd) []string {
	env := slices.Clone(g.env)
	set := func(name, value string) {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	set("GIT_DIR", cmd.GitDir)
	set("GIT_WORK_TREE", cmd.WorkTree)
	set("GIT_INDEX_FILE", cmd.IndexFile)
	if cmd.Objects != "" {
		set("GIT_ALTERNATE_OBJECT_DIRECTORIES", quoteObjects(cmd.Objects))
	}
	config := maps.Clone(g.settings)
	if cmd.Remote != nil {
		maps.Copy(config, cmd.Remote.config())
	}
	maps.Copy(config, cmd.Config)
	for i, key := range slices.Sorted(maps.Keys(config)) {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, key), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, config[key]))
	}
	env = append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(len(config)))
	for _, name := range slices.Sorted(maps.Keys(cmd.Env)) {
		env = append(env, name+"="+cmd.Env[name])
	}
	return env
}

// quoteObjects protects a path from being read as a list.
func quoteObjects(path string) string {
	if strings.ContainsAny(path, ":\"\\") {
		return strconv.Quote(path)
	}
	return path
}

// config makes the remote known for one command; nothing of it is ever written to a file.
func (r Remote) config() map[string]string {
	config := map[string]string{
		"remote.origin.url":                r.URL,
		"remote.origin.promisor":           "true",
		"remote.origin.partialCloneFilter": "blob:none",
	}
	if r.Token != "" {
		config["include.path"] = lentPath
	}
	return config
}

func (r Remote) basic() string {
	user := r.Username
	if user == "" {
		user = "x-access-token"
	}
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + r.Token))
}
