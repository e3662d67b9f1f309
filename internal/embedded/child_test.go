package embedded

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test program stand in for a parent that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("EMBEDDED_TEST_PARENT"); dir != "" {
		beParent(dir)
	}
	os.Exit(m.Run())
}

func beParent(dir string) {
	ctx, stop := testContext()
	defer stop()
	pg, err := StartPostgres(ctx, PostgresOptions{Dir: filepath.Join(dir, "pg")})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	rs, err := StartRedisServer(ctx, filepath.Join(dir, "redis"), nil)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("pids", pg.PID(), rs.PID())
	select {}
}

func TestServersEndWithAKilledParentAndTheirDirectoryIsTakenOver(t *testing.T) {
	t.Parallel()
	dir := serverDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), "EMBEDDED_TEST_PARENT="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	words := strings.Fields(line)
	if err != nil || len(words) != 3 || words[0] != "pids" {
		t.Fatalf("the parent said %q, %v", line, err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed

	// At once, while the old server may still be ending.
	exec1(t, startPostgres(t, filepath.Join(dir, "pg")).URL(), "SELECT 1")
	for _, word := range words[1:] {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		waitGone(t, pid)
	}
}

func waitGone(t *testing.T, pid int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for syscall.Kill(pid, 0) == nil && !isZombie(pid) {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("process %d is still there", pid)
		}
	}
}

// isZombie says whether pid has ended and only waits for a parent to read its status: inside a container nobody may.
func isZombie(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err == nil && strings.Contains(string(stat), ") Z ")
}
