// Package green keeps the last green log of each job in files: a cache, whose loss costs nothing but a download.
//
// It promises that an entry and the whole are bounded, that reading an entry takes bounded memory whatever the file
// holds, that a file which is not what was written counts as none, and that no name becomes part of a path.
package green

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/sre-agent/sre-agent/internal/joblog"
)

const (
	// MaxText bounds the text of one entry, in bytes.
	MaxText = 8 << 20
	// MaxTotal bounds all files together, in bytes.
	MaxTotal = 512 << 20
	// maxHead bounds the line before the text.
	maxHead = 16 << 10
	suffix  = ".zst"
)

// Key names a job for good.
type Key struct{ Provider, RepositoryID, Workflow, Job string }

// Entry is a log and the job that wrote it.
type Entry struct {
	Job  joblog.Job
	Text []byte
}

// Store is a folder of entries. Several processes may use it at once.
type Store struct {
	dir      string
	maxTotal int64
}

// Open makes the folder.
func Open(dir string, maxTotal int64) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("green logs: %w", err)
	}
	return &Store{dir: dir, maxTotal: maxTotal}, nil
}

// head is the first line of a file. The key is in it so that a file under another's name is none.
type head struct {
	Key Key
	Job joblog.Job
}

func (s *Store) path(k Key) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{k.Provider, k.RepositoryID, k.Workflow, k.Job}, "\x00")))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:])+suffix)
}

// Get returns what is kept; a file that can't be read is removed.
func (s *Store) Get(k Key) (Entry, bool) {
	path := s.path(k)
	f, err := os.Open(path)
	if err != nil {
		return Entry{}, false
	}
	defer func() { _ = f.Close() }()
	e, err := read(f, k)
	if err != nil {
		_ = os.Remove(path)
		return Entry{}, false
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // what is used is removed last
	return e, true
}

func read(in io.Reader, k Key) (Entry, error) {
	dec, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxText+1<<20), zstd.WithDecoderLowmem(true))
	if err != nil {
		return Entry{}, err
	}
	defer dec.Close()
	all, err := io.ReadAll(io.LimitReader(dec, MaxText+maxHead+1))
	if err != nil {
		return Entry{}, err
	}
	line, text, ok := bytes.Cut(all, []byte("\n"))
	var h head
	if !ok || len(line) > maxHead || len(text) > MaxText || json.Unmarshal(line, &h) != nil || h.Key != k {
		return Entry{}, errors.New("not an entry of this key")
	}
	return Entry{Job: h.Job, Text: text}, nil
}

// Put keeps an entry in place of the key's last one. What is there stays whole if the process dies: the new file gets
// its name when it is written.
func (s *Store) Put(k Key, e Entry) error {
	line, err := json.Marshal(head{Key: k, Job: e.Job})
	if err != nil {
		return fmt.Errorf("green log: %w", err)
	}
	if len(line) > maxHead || len(e.Text) > MaxText {
		return fmt.Errorf("green log: %d bytes are more than an entry may have", len(line)+len(e.Text))
	}
	f, err := os.CreateTemp(s.dir, "new-*")
	if err != nil {
		return fmt.Errorf("green log: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	err = write(f, append(line, '\n'), e.Text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("green log: %w", err)
	}
	if err := os.Rename(f.Name(), s.path(k)); err != nil {
		return fmt.Errorf("green log: %w", err)
	}
	return s.evict()
}

func write(out io.Writer, parts ...[]byte) error {
	enc, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
	if err != nil {
		return err
	}
	for _, part := range parts {
		if _, err := enc.Write(part); err != nil {
			return errors.Join(err, enc.Close())
		}
	}
	return enc.Close()
}

// evict removes the files that were used longest ago until the rest fits. Files of another process that is just
// writing are counted, and removed only when they are an hour old.
func (s *Store) evict() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("green logs: %w", err)
	}
	var files []fs.FileInfo
	total := int64(0)
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // gone meanwhile, or not ours
		}
		files = append(files, info)
		total += info.Size()
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, info := range files {
		left := !strings.HasSuffix(info.Name(), suffix) && time.Since(info.ModTime()) > time.Hour
		over := strings.HasSuffix(info.Name(), suffix) && total > s.maxTotal
		if !left && !over {
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, info.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("green logs: %w", err)
		}
		total -= info.Size()
	}
	return nil
}
