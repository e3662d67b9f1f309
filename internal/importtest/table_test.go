package importtest

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/sre-agent/sre-agent"

// The table of allowed imports.
var rules = []Rule{
	{
		From: []string{"./internal/..."}, Never: []string{"./services/...", "./streams/...", "./cmd/..."},
		Why: "imports run downwards only",
	},
	{
		From: []string{"./migrations"}, Never: []string{"./internal/...", "./services/...", "./streams/...", "./cmd/..."},
		Why: "imports run downwards only",
	},
	{
		From: []string{"./services/..."}, Never: []string{"./cmd/..."},
		Why: "imports run downwards only",
	},
	{
		From: []string{"./services/*"}, Never: []string{"./services/..."},
		Why: "a service never imports another one",
	},
	{
		From: []string{"./streams"}, Never: []string{"./internal/...", "./services/...", "./cmd/..."},
		Except: []string{"./internal/config", "./internal/fault", "./internal/about"},
		Why:    "streams is a door, not a room",
	},
	{
		From:  []string{"./services/ingest", "./cmd/ingest"},
		Never: []string{"github.com/jackc/...", "./migrations", "./internal/store/...", "./internal/forge/...", "./internal/gitrepo/...", "./internal/gitpush/...", "./internal/joblog/...", "./internal/sandbox/...", "./internal/egress/..."},
		Why:   "ingest has no database and no forge",
	},
	{
		From:  []string{"./services/throttle", "./cmd/throttle"},
		Never: []string{"./internal/forge/...", "./internal/gitrepo/...", "./internal/gitpush/...", "./internal/joblog/...", "./internal/sandbox/...", "./internal/egress/..."},
		Why:   "throttle decides, and touches neither a forge nor code",
	},
	{
		From:  []string{"./services/runner", "./cmd/runner"},
		Never: []string{"./internal/forge/...", "./internal/gitpush/...", "./internal/notify"},
		Why:   "what runs a repository's code can't write to a forge",
	},
	{
		From:  []string{"./services/publisher", "./cmd/publisher"},
		Never: []string{"./internal/sandbox/...", "./internal/egress/...", "./internal/fix/..."},
		Why:   "the publisher never runs a repository's code",
	},
	{
		From:  []string{"./services/...", "./cmd/ingest", "./cmd/throttle", "./cmd/runner", "./cmd/publisher"},
		Never: []string{"./internal/forge/forgetest/...", "./internal/joblog/joblogtest", "./internal/testenv/...", "./internal/embedded/...", "./internal/devtools/..."},
		Why:   "fakes and embedded servers are for tests and the demo",
	},
	{
		From: []string{"./cmd/sre-agent"}, Never: []string{"./internal/testenv/...", "./internal/devtools/..."},
		Why: "test helpers are for tests",
	},
	{
		From:  []string{"./internal/about", "./internal/address", "./internal/appjwt", "./internal/ci", "./internal/fault", "./internal/failure", "./internal/run", "./internal/redact", "./internal/evidence", "./internal/markup", "./internal/pulltext", "./internal/watch", "./internal/receipt", "./internal/minisign", "./internal/joblog/unzip", "./internal/eval"},
		Never: []string{"net", "net/http", "os/exec", "database/sql", "github.com/jackc/...", "github.com/redis/...", "github.com/nats-io/..."},
		Why:   "a pure package has no input and output",
	},
	{
		From:  []string{"./internal/model"},
		Never: []string{"os/exec", "./internal/sandbox/...", "./internal/forge/...", "./internal/gitrepo/...", "./internal/gitpush/...", "./internal/testenv/..."},
		Why:   "what a model says is a plan, and nothing here can carry it out",
	},
	{
		From:  []string{"./internal/forge/azuredevops", "./internal/forge/bitbucket", "./internal/forge/gitea", "./internal/forge/gitlab"},
		Never: []string{"os/exec", "database/sql", "./internal/store/...", "./internal/config", "./internal/gitrepo/...", "./internal/gitpush/...", "./internal/sandbox/..."},
		Why:   "a forge's client speaks to its API and does nothing else",
	},
	{
		From:  []string{"./internal/notify"},
		Never: []string{"os/exec", "database/sql", "./streams", "./internal/config", "./internal/store/...", "./internal/forge/...", "./internal/gitpush/...", "./internal/httpapi"},
		Why:   "what tells people knows nothing of what happens, and has no token of ours",
	},
	{
		From:  []string{"./internal/agentcmd"},
		Never: []string{"./internal/httpapi", "./internal/config", "./internal/store/...", "./internal/forge/...", "./internal/gitpush/..."},
		Why:   "an agent runs in the sandbox alone, and its credential is not even known here",
	},
	{
		// These parse with libraries that know mail headers and HTTP's header type, so net is in them.
		From:  []string{"./internal/patch", "./internal/policy", "./internal/fixplan/...", "./internal/webhook/...", "./internal/origin"},
		Never: []string{"os/exec", "database/sql", "github.com/jackc/...", "github.com/redis/...", "github.com/nats-io/...", "./internal/store/...", "./internal/httpapi"},
		Why:   "a pure package has no input and output",
	},
	{
		From: []string{"./internal/patch", "./internal/policy", "./internal/fixplan/..."}, Never: []string{"net/http"},
		Why: "a pure package has no input and output",
	},
}

func TestTheTableOfAllowedImportsHolds(t *testing.T) {
	t.Parallel()
	for _, violation := range Check(load(t), module, rules) {
		t.Error(violation)
	}
}

// load asks the go command, from the package's own folder, for the whole module.
func load(t *testing.T) Graph {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports", module+"/...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	seeSources(t)
	g := Graph{}
	for in := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		err := in.Decode(&pkg)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		g[pkg.ImportPath] = pkg.Imports
	}
	if len(g[module+"/internal/lease"]) == 0 {
		t.Fatal("go list did not list the module's own packages")
	}
	return g
}

// seeSources looks at the module's folders from this process. The go command reads them unseen, and without a look
// of our own go test would take a cached pass for the answer after an import was added somewhere.
func seeSources(t *testing.T) {
	t.Helper()
	root := filepath.Join("..", "..")
	sources := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case strings.HasSuffix(path, ".go"):
			sources++
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil || sources < 10 {
		t.Fatalf("saw %d source files: %v", sources, err)
	}
}
