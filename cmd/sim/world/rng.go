package world

import "time"

// rng is a splitmix64 generator: small, fast, and a child for every name.
type rng struct{ s uint64 }

func (r *rng) next() uint64 {
	r.s += 0x9e3779b97f4a7c15
	z := r.s
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// child is a generator of its own for a name: what one actor draws never moves another one's draws.
func (r rng) child(name string, n uint64) rng {
	h := r.s ^ 0xcbf29ce484222325
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	c := rng{h + n*0x9e3779b97f4a7c15}
	c.next()
	return rng{c.next()}
}

// n is a number from 0 to most-1.
func (r *rng) n(most int) int { return int(r.next() % uint64(most)) }

// in is a number from lo to hi.
func (r *rng) in(lo, hi int) int { return lo + r.n(hi-lo+1) }

func (r *rng) chance(p float64) bool { return float64(r.next()>>11)/(1<<53) < p }

// dur is a duration from lo to hi, to the nanosecond: so no two actors wake at the same moment.
func (r *rng) dur(lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + time.Duration(r.next()%uint64(hi-lo))
}

func pick[T any](r *rng, of []T) T { return of[r.n(len(of))] }
