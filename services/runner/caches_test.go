package runner

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCachesAreBoundedByThrowingAwayWhatWasNotUsedForLongest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	add := func(name string, bytes int, ago time.Duration) {
		t.Helper()
		path := filepath.Join(dir, name)
		unlock, err := useCache(t.Context(), path, true)
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		if err := os.MkdirAll(filepath.Join(path, "sealed"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "sealed", "file"), make([]byte, bytes), 0o400); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(path, "sealed"), 0o500); err != nil {
			t.Fatal(err)
		}
		used := now.Add(-ago)
		if err := os.Chtimes(path+cacheLock, used, used); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (names []string) {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() {
				names = append(names, e.Name())
			}
		}
		return names
	}
	add("oldest", 400, 9*time.Hour)
	add("used", 400, 8*time.Hour)
	add("older", 400, 7*time.Hour)
	add("newer", 400, 6*time.Hour)
	add("fresh", 4000, time.Hour)
	if err := os.Mkdir(filepath.Join(dir, "half"+cacheGone), 0o700); err != nil {
		t.Fatal(err)
	}
	c := caches{dir: dir, most: 5000, now: func() time.Time { return now }, log: slog.New(slog.DiscardHandler)}
	hold, err := useCache(t.Context(), filepath.Join(dir, "used"), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(dir, "used"+cacheLock), now.Add(-8*time.Hour), now.Add(-8*time.Hour)); err != nil {
		t.Fatal(err)
	}
	freed, err := c.prune(t.Context())
	if freed != 800 || err == nil { // one is in use, and is told of
		t.Errorf("freed %d, %v", freed, err)
	}
	if diff := cmp.Diff([]string{"fresh", "newer", "used"}, left()); diff != "" {
		t.Error(diff)
	}
	hold()
	c.most = 100
	if freed, err = c.prune(t.Context()); freed != 800 || err != nil {
		t.Errorf("freed %d, %v", freed, err)
	}
	if diff := cmp.Diff([]string{"fresh"}, left()); diff != "" { // over the bound, but a run may be at it
		t.Error(diff)
	}
}
