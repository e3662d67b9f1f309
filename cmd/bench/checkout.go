package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/gitrepo"
)

// checkoutResult compares a warm mirror with a fresh clone of one commit, over the same HTTP server.
type checkoutResult struct {
	// Speedup is the median of the pairs' ratios.
	Speedup float64 `json:"speedup"`
	WarmMs  float64 `json:"warm_ms"`
	CloneMs float64 `json:"clone_ms"`
	Files   int     `json:"files"`
	Rounds  int     `json:"rounds"`
}

func measureCheckouts(ctx context.Context, dir, repo string, files, rounds int) (checkoutResult, error) {
	res := checkoutResult{Rounds: rounds}
	bare := filepath.Join(dir, "git", "repo.git")
	if err := os.MkdirAll(filepath.Dir(bare), 0o755); err != nil {
		return res, err
	}
	if repo == "" {
		repo = filepath.Join(dir, "made.git")
		if err := makeRepository(ctx, repo, files, rounds); err != nil {
			return res, err
		}
	}
	if _, err := git(ctx, nil, "clone", "-q", "--bare", repo, bare); err != nil {
		return res, err
	}
	url, stop, err := serveGit(ctx, filepath.Dir(bare))
	if err != nil {
		return res, err
	}
	defer stop()
	out, err := git(ctx, nil, "-C", bare, "rev-list", "--first-parent", fmt.Sprintf("--max-count=%d", rounds+1), "HEAD")
	if err != nil {
		return res, err
	}
	commits := strings.Fields(out)
	if len(commits) != rounds+1 {
		return res, fmt.Errorf("%s has %d commits; %d are needed", repo, len(commits), rounds+1)
	}
	slices.Reverse(commits)
	names, err := git(ctx, nil, "-C", bare, "ls-tree", "-r", "--name-only", "HEAD")
	if err != nil {
		return res, err
	}
	res.Files = strings.Count(names, "\n")
	g, err := gitrepo.New("", nil)
	if err != nil {
		return res, err
	}
	m, err := g.OpenMirror(ctx, filepath.Join(dir, "mirror"), gitrepo.Remote{URL: url + "/repo.git"})
	if err != nil {
		return res, err
	}
	if err := m.Fetch(ctx, commits[0]); err != nil {
		return res, err
	}
	var ratios []float64
	var warms, clones []time.Duration
	for i, commit := range commits[1:] {
		// The server's branch moves on, as with a push.
		if _, err := git(ctx, nil, "-C", bare, "update-ref", "HEAD", commit); err != nil {
			return res, err
		}
		// What the runner does after each run, when nobody waits: it is not counted.
		if err := m.Prepare(ctx, commits[i]); err != nil {
			return res, err
		}
		pair := map[bool]time.Duration{}
		for _, warm := range []bool{i%2 == 0, i%2 != 0} { // in turns, so that neither always has the warmer disk
			if pair[warm], err = checkoutOnce(ctx, m, warm, url+"/repo.git", commit, filepath.Join(dir, "tree")); err != nil {
				return res, err
			}
		}
		warms, clones = append(warms, pair[true]), append(clones, pair[false])
		ratios = append(ratios, float64(pair[false])/float64(pair[true]))
	}
	slices.Sort(ratios)
	res.Speedup, res.WarmMs, res.CloneMs = ratios[len(ratios)/2], millis(quantile(warms, 50)), millis(quantile(clones, 50))
	return res, nil
}

// checkoutOnce makes a tree of the commit at dir, in either way, and takes it away again.
func checkoutOnce(ctx context.Context, m *gitrepo.Mirror, warm bool, url, commit, dir string) (time.Duration, error) {
	begin := time.Now()
	if !warm {
		_, err := git(ctx, nil, "clone", "-q", "--depth", "1", url, dir)
		took := time.Since(begin)
		if err == nil {
			err = os.RemoveAll(dir)
		}
		return took, err
	}
	if err := m.Fetch(ctx, commit); err != nil {
		return 0, err
	}
	tree, err := m.Checkout(ctx, commit, dir)
	if err != nil {
		return 0, err
	}
	took := time.Since(begin)
	return took, tree.Close()
}

// makeRepository writes a history of text files, a few of which change with each commit.
func makeRepository(ctx context.Context, bare string, files, rounds int) error {
	random := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 5000)
	for i := range words {
		words[i] = fmt.Sprintf("%x", random.Uint64()>>(8+random.IntN(40)))
	}
	var in bytes.Buffer
	for round := range rounds + 1 {
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter t <t@example.com> %d +0000\ndata 1\nc\n", 1_700_000_000+round)
		for i := range files {
			if round > 0 && random.IntN(files) >= 10 {
				continue
			}
			var text strings.Builder
			for text.Len() < 1000+random.IntN(12_000) {
				for range 10 {
					text.WriteString(words[random.IntN(len(words))] + " ")
				}
				text.WriteString("\n")
			}
			fmt.Fprintf(&in, "M 100644 inline d%d/e%d/f%d.txt\ndata %d\n%s\n", i%20, i%200, i, text.Len(), text.String())
		}
	}
	if _, err := git(ctx, nil, "init", "-q", "--bare", "-b", "main", bare); err != nil {
		return err
	}
	_, err := git(ctx, in.Bytes(), "-C", bare, "fast-import", "--quiet")
	return err
}

// serveGit serves the repositories below root over smart HTTP, as a forge does.
func serveGit(ctx context.Context, root string) (url string, stop func(), err error) {
	exe, err := git(ctx, nil, "--exec-path")
	if err != nil {
		return "", nil, err
	}
	backend := &cgi.Handler{
		Path: strings.TrimSpace(exe) + "/git-http-backend", Root: "/", Dir: root,
		Env: []string{
			"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "HOME=" + root, "GIT_CONFIG_COUNT=2",
			"GIT_CONFIG_KEY_0=uploadpack.allowFilter", "GIT_CONFIG_VALUE_0=true", "GIT_CONFIG_KEY_1=uploadpack.allowAnySHA1InWant", "GIT_CONFIG_VALUE_1=true",
		},
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler := *backend
		handler.Env = append(slices.Clone(backend.Env), "GIT_PROTOCOL="+r.Header.Get("Git-Protocol"))
		handler.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(ln) }()
	return "http://" + ln.Addr().String(), func() { _ = server.Close() }, nil
}

// git runs the git program with none of the user's configuration.
func git(ctx context.Context, stdin []byte, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0")
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %.500s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out), nil
}
