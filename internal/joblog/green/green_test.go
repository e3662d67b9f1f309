package green_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/sre-agent/sre-agent/internal/joblog"
	"github.com/sre-agent/sre-agent/internal/joblog/green"
	"github.com/sre-agent/sre-agent/internal/joblog/joblogtest"
)

var key = green.Key{Provider: "github", RepositoryID: "1", Workflow: "ci.yml", Job: "test"}

func open(t *testing.T, maxTotal int64) (*green.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "green")
	s, err := green.Open(dir, maxTotal)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func files(t *testing.T, dir string) (paths []string, total int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		paths, total = append(paths, filepath.Join(dir, e.Name())), total+info.Size()
	}
	return paths, total
}

func TestWhatIsPutIsThereCompressedUntilSomethingNewerIs(t *testing.T) {
	s, dir := open(t, green.MaxTotal)
	if e, ok := s.Get(key); ok {
		t.Errorf("an empty store has %+v", e)
	}
	for _, text := range []string{strings.Repeat("ok\n", 100_000), "newer\n", ""} {
		want := green.Entry{Job: joblog.Job{ID: "7", Run: "3/1", Name: "test", Conclusion: "success"}, Text: []byte(text)}
		if err := s.Put(key, want); err != nil {
			t.Fatal(err)
		}
		got, ok := s.Get(key)
		if diff := cmp.Diff(want, got, cmp.Transformer("text", func(b []byte) string { return string(b) })); diff != "" || !ok {
			t.Errorf("entry (-want +got):\n%s", diff)
		}
		if paths, total := files(t, dir); len(paths) != 1 || total > 1000 {
			t.Errorf("%d bytes of text take %d bytes in %d files", len(text), total, len(paths))
		}
	}
}

func TestKeysAreApartAndNoNameIsAPath(t *testing.T) {
	s, dir := open(t, green.MaxTotal)
	keys := []green.Key{
		key,
		{"gitlab", "1", "ci.yml", "test"},
		{"github", "2", "ci.yml", "test"},
		{"github", "1", "cd.yml", "test"},
		{"github", "1", "ci.yml", "lint"},
		{"github", "1", "../../x", "/etc/passwd"},
		{"github", "1", "ci.yml", "a\x00b"},
		{"git", "hub1", "ci.yml", "test"},
		{"", "", "", strings.Repeat("n", 5000)},
	}
	for i, k := range keys {
		if err := s.Put(k, green.Entry{Text: []byte(fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
	}
	for i, k := range keys {
		if e, ok := s.Get(k); !ok || string(e.Text) != fmt.Sprint(i) {
			t.Errorf("%v has %q", k, e.Text)
		}
	}
	if paths, _ := files(t, dir); len(paths) != len(keys) {
		t.Errorf("%d files for %d keys", len(paths), len(keys))
	}
}

func TestAFileThatIsNotWhatWasWrittenIsNoneAndGoes(t *testing.T) {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(whole []byte) []byte{
		"cut off":                    func(b []byte) []byte { return b[:len(b)/2] },
		"empty":                      func([]byte) []byte { return nil },
		"not compressed":             func([]byte) []byte { return []byte("text\n") },
		"another's":                  func([]byte) []byte { return enc.EncodeAll([]byte(`{"Key":{"Provider":"gitlab"}}`+"\ntext"), nil) },
		"no line":                    func([]byte) []byte { return enc.EncodeAll(make([]byte, 1000), nil) },
		"a bomb":                     func([]byte) []byte { return enc.EncodeAll(make([]byte, 256<<20), nil) },
		"a byte of it turned around": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := open(t, green.MaxTotal)
			if err := s.Put(key, green.Entry{Text: []byte(strings.Repeat("a log\n", 100))}); err != nil {
				t.Fatal(err)
			}
			paths, _ := files(t, dir)
			whole, err := os.ReadFile(paths[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(paths[0], spoil(whole), 0o600); err != nil {
				t.Fatal(err)
			}
			ok := false
			if peak := joblogtest.Peak(func() { _, ok = s.Get(key) }); ok || peak > 64<<20 {
				t.Errorf("read: %v, with %d bytes of memory", ok, peak)
			}
			if paths, _ := files(t, dir); len(paths) != 0 {
				t.Errorf("it is still there: %v", paths)
			}
		})
	}
}

func TestTheWholeIsBoundedAndWhatWasUsedLongestAgoGoesFirst(t *testing.T) {
	const limit = 300 << 10
	s, dir := open(t, limit)
	rng := rand.NewChaCha8([32]byte{})
	text := make([]byte, 100<<10)
	_, _ = rng.Read(text) // does not compress
	keyOf := func(i int) green.Key { return green.Key{Job: fmt.Sprint(i)} }
	for i := range 10 {
		if err := s.Put(keyOf(i), green.Entry{Text: text}); err != nil {
			t.Fatal(err)
		}
		paths, total := files(t, dir)
		if total > limit {
			t.Fatalf("%d bytes after %d entries", total, i+1)
		}
		for _, p := range paths { // each entry is an hour older than the next
			info, err := os.Stat(p)
			if err != nil {
				t.Fatal(err)
			}
			at := info.ModTime().Add(-time.Hour)
			if err := os.Chtimes(p, at, at); err != nil {
				t.Fatal(err)
			}
		}
		if _, ok := s.Get(keyOf(0)); !ok { // the first is used all the time
			t.Fatalf("the entry that is used went, after %d", i+1)
		}
	}
	if e, ok := s.Get(keyOf(9)); !ok || !bytes.Equal(e.Text, text) {
		t.Error("the newest entry is not there")
	}
	if _, ok := s.Get(keyOf(5)); ok {
		t.Error("an old entry is still there")
	}
}

func TestAnEntryThatIsTooLongIsRefused(t *testing.T) {
	s, dir := open(t, green.MaxTotal)
	if err := s.Put(key, green.Entry{Text: make([]byte, green.MaxText+1)}); err == nil {
		t.Error("it was taken")
	}
	if err := s.Put(green.Key{Job: strings.Repeat("n", 20_000)}, green.Entry{}); err == nil {
		t.Error("a name of 20,000 bytes was taken")
	}
	if paths, _ := files(t, dir); len(paths) != 0 {
		t.Errorf("files are left: %v", paths)
	}
}

func TestWhatAKilledWriterLeftGoesWhenItIsOld(t *testing.T) {
	s, dir := open(t, green.MaxTotal)
	old, fresh := filepath.Join(dir, "new-old"), filepath.Join(dir, "new-fresh")
	for _, p := range []string{old, fresh} {
		if err := os.WriteFile(p, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(old, at, at); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(key, green.Entry{}); err != nil {
		t.Fatal(err)
	}
	if paths, _ := files(t, dir); len(paths) != 2 {
		t.Errorf("files = %v, want the entry and the fresh one", paths)
	}
}
