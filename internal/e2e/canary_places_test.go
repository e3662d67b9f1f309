package e2e

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats.go"

	"github.com/sre-agent/sre-agent/internal/cluster"
	"github.com/sre-agent/sre-agent/internal/demo"
)

// messages are all that crosses the NATS server while a test runs, those of streams that keep nothing among them.
type messages struct {
	mu   sync.Mutex
	conn *nats.Conn
	all  map[string][]string
}

func listen(t *testing.T, address string) *messages {
	t.Helper()
	m := &messages{all: map[string][]string{}}
	zip, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(zip.Close)
	if m.conn, err = nats.Connect(address, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.conn.Close)
	_, err = m.conn.Subscribe(">", func(msg *nats.Msg) {
		text := fmt.Sprintf("%v\n%s", msg.Header, msg.Data)
		if plain, err := zip.DecodeAll(msg.Data, nil); err == nil {
			text += "\n" + string(plain)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.all[msg.Subject] = append(m.all[msg.Subject], text)
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// kinds are the first words of the subjects that were seen.
func (m *messages) kinds() []string {
	var out []string
	for subject := range m.all {
		kind, _, _ := strings.Cut(subject, ".")
		if !slices.Contains(out, kind) {
			out = append(out, kind)
		}
	}
	return out
}

func (m *messages) look(t *testing.T, c *canaries) {
	t.Helper()
	if err := m.conn.Flush(); err != nil {
		t.Error(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, kind := range []string{"deliveries", "runs", "events"} {
		if !slices.Contains(m.kinds(), kind) {
			t.Errorf("no message of %s was seen, of %v", kind, m.kinds())
		}
	}
	for subject, texts := range m.all {
		for _, text := range texts {
			c.look(t, "a message of "+subject, text)
		}
	}
}

// lookAtRows looks at every row of every table. PostgreSQL writes bytes in hexadecimal.
func (c *canaries) lookAtRows(t *testing.T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.environ["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	tables := column(t, conn, `select table_name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'`)
	if len(tables) < 10 {
		t.Errorf("only the tables %v", tables)
	}
	for _, table := range tables {
		for _, row := range column(t, conn, "select row_to_json(t)::text from "+pgx.Identifier{table}.Sanitize()+" t") {
			c.look(t, "a row of "+table, row)
		}
	}
	for _, diff := range column(t, conn, "select convert_from(diff, 'UTF8') from fixes") {
		c.look(t, "a fix", diff)
	}
}

func column(t *testing.T, conn *pgx.Conn, sql string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// lookAtPrograms looks at the logs, at what is on disk and at the metrics of the four programs.
func (c *canaries) lookAtPrograms(t *testing.T, s *system) {
	t.Helper()
	for name, p := range s.procs {
		text, err := os.ReadFile(p.Log)
		if err != nil || len(text) == 0 {
			t.Errorf("the log of %s: %d bytes, %v", name, len(text), err)
		}
		c.look(t, "the log of "+name, string(text))
	}
	for _, name := range cluster.Programs {
		for _, path := range []string{"/metrics", "/readyz", "/healthz"} {
			c.look(t, name+path, get(t, "http://"+s.setting(name, "HTTP_ADDR")+path))
		}
		c.lookAtFiles(t, name, s.setting(name, "DATA_DIR"))
	}
}

func get(t *testing.T, address string) string {
	t.Helper()
	res, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || len(text) == 0 {
		t.Errorf("%s: %d bytes, %v", address, len(text), err)
	}
	return string(text)
}

// lookAtFiles looks at every name and every file below a program's data folder. What git compresses is looked at by
// lookAtForge, and by what becomes of it.
func (c *canaries) lookAtFiles(t *testing.T, program, dir string) {
	t.Helper()
	var files, configs int
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if files++; d.Name() == "config" {
			configs++
		}
		c.look(t, path, path+"\n"+string(text))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if hasMirrors := program == "runner" || program == "publisher"; hasMirrors && (files == 0 || configs == 0) {
		t.Errorf("the data of %s: %d files, %d of them git's configuration", program, files, configs)
	}
}

// lookAtForge looks at the pull requests, at every commit of every branch, and at what was asked of the API.
func (c *canaries) lookAtForge(t *testing.T, s *system, repositories ...string) {
	t.Helper()
	for _, name := range repositories {
		for _, pr := range s.scene.Forge.PullRequests(demo.Owner, name) {
			c.look(t, "a pull request of "+name, fmt.Sprintf("%+v", pr))
		}
		dir := filepath.Join(t.TempDir(), "mirror")
		address := strings.Replace(s.scene.Forge.URL(), "://", "://x-access-token:"+c.values["GITHUB_READ_TOKEN"]+"@", 1)
		gitOut(t, "clone", "-q", "--mirror", address+"/"+demo.Owner+"/"+name+".git", dir)
		for _, args := range [][]string{{"log", "--all", "-p", "--format=raw"}, {"for-each-ref"}} {
			text := gitOut(t, append([]string{"-C", dir}, args...)...)
			if text == "" {
				t.Errorf("git %v of %s prints nothing", args, name)
			}
			c.look(t, "the branches of "+name, text)
		}
	}
	for _, r := range s.scene.Forge.Requests() {
		c.look(t, "a request to the forge", fmt.Sprintf("%+v", r))
	}
}

func gitOut(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %v: %v", args, err)
	}
	return string(out)
}
