package publisher

import (
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/internal/gitrepo"
)

// openFor is how long a mirror that was found whole is taken for it: one publication opens it three times.
const openFor = 30 * time.Second

// openMirrors remembers which mirrors were found whole a moment ago. One with which anything fails is looked at again
// before its next use. It is safe for concurrent use; the zero value is ready.
type openMirrors struct {
	mu  sync.Mutex
	all map[string]openMirror // by folder
}

type openMirror struct {
	mirror *gitrepo.Mirror
	remote gitrepo.Remote
	since  time.Time
}

// open gives the mirror of a folder that is open for the same remote and token, else what opening it anew gives.
func (o *openMirrors) open(dir string, remote gitrepo.Remote, anew func(dir string) (*gitrepo.Mirror, error)) (*gitrepo.Mirror, error) {
	o.mu.Lock()
	known := o.all[dir]
	o.mu.Unlock()
	if known.remote == remote && time.Since(known.since) < openFor {
		return known.mirror, nil
	}
	mirror, err := anew(dir)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = map[string]openMirror{}
	}
	for dir, m := range o.all {
		if time.Since(m.since) >= openFor {
			delete(o.all, dir)
		}
	}
	o.all[dir] = openMirror{mirror, remote, time.Now()}
	return mirror, nil
}

// used passes an error of a mirror's use on, and forgets the mirror if there is one.
func (o *openMirrors) used(mirror *gitrepo.Mirror, err error) error {
	if err != nil {
		o.mu.Lock()
		delete(o.all, mirror.Dir())
		o.mu.Unlock()
	}
	return err
}
