package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/gitrepo"
)

const (
	cacheLock = ".lock"
	cacheGone = ".gone"
	// cacheRest is how long a cache that was used is left alone: a run that filled it counts on it in its next step.
	cacheRest = 2 * time.Hour
	// pruneCachesEvery is how often they are measured.
	pruneCachesEvery = time.Hour
)

// useCache locks a cache, makes it if it is not there, and notes when. The lock comes first: one that is being thrown away
// would be gone right after it was looked at.
func useCache(ctx context.Context, host string, writable bool) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(host), 0o755); err != nil {
		return nil, err
	}
	unlock, err = gitrepo.Lock(ctx, host+cacheLock, writable)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(host, 0o755); err != nil {
		unlock()
		return nil, err
	}
	now := time.Now()
	_ = os.Chtimes(host+cacheLock, now, now) // it is only thrown away too soon
	return unlock, nil
}

// caches are the folders below one, of which those that were not used for longest go first.
type caches struct {
	dir string
	// most is how many bytes they may have together.
	most int64
	now  func() time.Time
	log  *slog.Logger
}

type cache struct {
	path string
	used time.Time
	size int64
}

// keep bounds them until ctx ends.
func (c caches) keep(ctx context.Context) {
	tick := time.NewTicker(pruneCachesEvery)
	defer tick.Stop()
	for {
		if freed, err := c.prune(ctx); err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "caches not pruned; it is tried again", "error", err)
		} else if freed > 0 {
			c.log.InfoContext(ctx, "caches pruned", "bytes", freed)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// prune throws caches away until the rest is within the bound, but none that was used lately. A cache can be empty at any
// time, so one that is gone costs time and nothing else. If the process dies half-way, the rest is removed next time.
func (c caches) prune(ctx context.Context) (freed int64, err error) {
	all, total, err := c.measure()
	if err != nil {
		return 0, err
	}
	slices.SortFunc(all, func(a, b cache) int { return cmp.Or(a.used.Compare(b.used), strings.Compare(a.path, b.path)) })
	var errs []error
	for _, one := range all {
		if total-freed <= c.most || c.now().Sub(one.used) < cacheRest || ctx.Err() != nil {
			break
		}
		if err := throwAway(ctx, one.path); err != nil {
			errs = append(errs, err)
			continue
		}
		freed += one.size
	}
	return freed, errors.Join(errs...)
}

// measure lists the caches, and removes what an earlier try left.
func (c caches) measure() (all []cache, total int64, err error) {
	entries, err := os.ReadDir(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("caches: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(c.dir, e.Name())
		switch {
		case strings.HasSuffix(e.Name(), cacheGone):
			_ = removeAll(path)
		case e.IsDir():
			one := cache{path: path, size: size(path)}
			if info, err := os.Stat(path + cacheLock); err == nil {
				one.used = info.ModTime()
			}
			all, total = append(all, one), total+one.size
		}
	}
	return all, total, nil
}

// throwAway takes a cache out of its place while nobody uses it, and then removes it.
func throwAway(ctx context.Context, path string) error {
	within, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	unlock, err := gitrepo.Lock(within, path+cacheLock, true)
	if err != nil {
		return fmt.Errorf("cache %s is in use: %w", filepath.Base(path), err)
	}
	err = os.Rename(path, path+cacheGone)
	unlock()
	if err != nil {
		return fmt.Errorf("caches: %w", err)
	}
	return removeAll(path + cacheGone)
}

// size is how many bytes the files of a folder have. What can't be read counts nothing.
func size(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // the rest is measured
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}

// removeAll removes a folder that may hold folders which a script made unreadable.
func removeAll(dir string) error {
	if err := os.RemoveAll(dir); err == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
