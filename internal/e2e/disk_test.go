package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

// smallDisk mounts a file system of its own on a folder. It needs the right to mount: root, as in CI.
func smallDisk(t *testing.T, dir string, megabytes int) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0711", megabytes)); err != nil {
		t.Fatalf("mount a small tmpfs on %s: %v: this test fills a disk, and needs CAP_SYS_ADMIN for one of its own: run it as root, or in `unshare --user --map-root-user --mount`", dir, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fill writes a file until the disk is full, and returns it.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for block := make([]byte, 64<<10); len(block) > 0; {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2] // the last bytes too
		}
	}
}

// TestAFullDiskUnderPostgreSQL: ingest goes on taking deliveries, nothing is published, and when there is room again
// everything goes on by itself.
func TestAFullDiskUnderPostgreSQL(t *testing.T) {
	s := &servers{t: t, pgDir: shortDir(t), dir: shortDir(t)}
	smallDisk(t, s.pgDir, 128)
	s.startPostgres()
	s.startRedis()
	t.Cleanup(func() { _, _ = s.pg.Stop(), s.redis.Stop() })
	c := startClusterOn(t, s.pg.URL(), s.redis.URL(), quick)
	c.expectReady(everybody...)
	before := c.fail(0)
	c.send("workflow_run", "before", githubtest.FailedRun(before.params))
	c.published(before)

	ballast := filepath.Join(s.pgDir, "ballast")
	fill(t, ballast)
	// Of these deliveries some still fit into the pages that PostgreSQL has; the log that it writes ahead does not.
	const many = 400
	for n := range many {
		if code, _ := c.post(fmt.Sprint("full-", n), fmt.Appendf(nil, `{"action":"completed","n":%d,"pad":%q}`, n, githubtest.Example(githubtest.Ping))); code != http.StatusAccepted {
			t.Fatalf("delivery %d: ingest needs no database, and answers %d", n, code)
		}
	}
	f := c.fail(1)
	if code, _ := c.post("full", githubtest.FailedRun(f.params)); code != http.StatusAccepted {
		t.Fatalf("answered %d", code)
	}
	if err := noRoom(s.pgDir); err == nil {
		t.Error("the disk is not full: the test shows nothing")
	}
	if n := len(c.scene.PullRequests()); n != 1 {
		t.Errorf("%d pull requests while the judge can't write", n)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	// PostgreSQL stops when it can't extend its log, as it must; whoever runs it starts it again.
	if !c.answers() {
		_ = s.pg.Stop()
		s.startPostgres()
	}
	c.expectReady(everybody...)
	testenv.Eventually(t, 2*time.Minute, func() bool {
		counts, err := c.st.DeliveryCounts(t.Context())
		return err == nil && counts["run"]+counts["dead"]+counts["ignored"]+counts["duplicate"] == many+2
	})
	c.published(f)
}

// noRoom tries to write.
func noRoom(dir string) error {
	path := filepath.Join(dir, "probe")
	defer func() { _ = os.Remove(path) }()
	return os.WriteFile(path, make([]byte, 256<<10), 0o600)
}

// answers says whether PostgreSQL is there at all.
func (c *system) answers() bool { return c.st.Ping(c.t.Context()) == nil }
