package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// Kind is what a fault does.
type Kind string

// The kinds. Kill is kill -9 and a start after For; Pause is SIGSTOP for For; Restart is SIGTERM and a start; Cut is a
// proxy's Mode for For; Flush is FLUSHALL; Forge is a fault of the forge's answers; Strike is kill -9 of every publisher
// at a request that changes something on the forge.
const (
	Kill    Kind = "kill"
	Pause   Kind = "pause"
	Restart Kind = "restart"
	Cut     Kind = "cut"
	Flush   Kind = "flushall"
	Forge   Kind = "forge"
	Strike  Kind = "strike"
)

// The forge's faults.
const (
	Forge500       = "500"
	ForgeLost      = "reply lost"
	ForgeRateLimit = "secondary rate limit"
)

// When a Strike hits: with the request's effect left undone, or done and its answer lost.
const (
	BeforeEffect = "before"
	AfterEffect  = "after"
)

// Fault is one thing that goes wrong.
type Fault struct {
	At     time.Duration
	Kind   Kind
	Target string
	// Peer is the other end of a cut; empty means every program.
	Peer string
	Mode Mode
	// What and Times say how the forge fails, and how many requests do; of a Strike, when it hits, and how many requests
	// it lets pass.
	What  string
	Times int
	For   time.Duration
}

func (f Fault) String() string {
	at := fmt.Sprintf("+%.2fs ", f.At.Seconds())
	switch f.Kind {
	case Cut:
		peer := f.Peer
		if peer == "" {
			peer = "everybody"
		}
		return fmt.Sprintf("%scut %s from %s (%s) for %.2fs", at, peer, f.Target, f.Mode, f.For.Seconds())
	case Forge:
		return fmt.Sprintf("%sforge: %s, %d times", at, f.What, f.Times)
	case Flush:
		return at + "flushall of redis"
	case Strike:
		return fmt.Sprintf("%sstrike the publishers %s effect %d, away for %.2fs", at, f.What, f.Times+1, f.For.Seconds())
	case Kill, Pause, Restart:
	}
	return fmt.Sprintf("%s%s %s, away for %.2fs", at, f.Kind, f.Target, f.For.Seconds())
}

// World is what faults may be planned for.
type World struct {
	// Programs are the processes' names, each with the dependencies that it has a proxy to.
	Programs map[string][]string
	// Servers can be killed and restarted; of them Pausable can be paused.
	Servers, Pausable []string
	// Lease is the lease's length: pauses are longer.
	Lease time.Duration
	// Window is the time in which faults begin.
	Window time.Duration
}

// GentleEvery is how many seeds in a row have one gentle plan among them.
const GentleEvery = 5

// Gentle says that a fault takes no count with it: no process ends without a word, and no commit's reply is lost.
func (f Fault) Gentle() bool {
	switch f.Kind {
	case Restart, Cut:
		return f.Target != "postgres"
	case Flush, Forge:
		return true
	case Kill, Pause, Strike:
	}
	return false
}

// Plan returns the faults of a round in order: two to five, by the seed alone. A seed that GentleEvery divides has
// gentle ones only: its round's counters have to be exact.
func Plan(seed uint64, w World) []Fault {
	r := rand.New(rand.NewPCG(seed, 1))
	programs := w.weighed()
	faults := make([]Fault, 2+r.IntN(4))
	for i := range faults {
		faults[i] = w.fault(r, programs)
		for seed%GentleEvery == 0 && !faults[i].Gentle() {
			faults[i] = w.fault(r, programs)
		}
		faults[i].At = within(r, 0, w.Window)
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return faults
}

// StrikesARound is how many strikes a round of PlanStrikes has: more would run into each other's recovery.
const StrikesARound = 4

// PlanStrikes returns the faults of a round that has nothing but strikes, by the seed alone.
func PlanStrikes(seed uint64, w World) []Fault {
	r := rand.New(rand.NewPCG(seed, 3))
	faults := make([]Fault, StrikesARound)
	for i := range faults {
		faults[i] = strike(r)
		faults[i].At = time.Duration(i) * w.Window / StrikesARound
	}
	return faults
}

func strike(r *rand.Rand) Fault {
	what := []string{BeforeEffect, AfterEffect}[r.IntN(2)]
	return Fault{Kind: Strike, Target: "publishers", What: what, Times: r.IntN(6), For: within(r, 0, time.Second)}
}

// weighed are the programs, each as often as it has dependencies: what touches most can go wrong most.
func (w World) weighed() (programs []string) {
	for _, name := range slices.Sorted(maps.Keys(w.Programs)) {
		programs = append(programs, slices.Repeat([]string{name}, len(w.Programs[name]))...)
	}
	return programs
}

func (w World) fault(r *rand.Rand, programs []string) Fault {
	program := programs[r.IntN(len(programs))]
	switch n := r.IntN(100); {
	case n < 25:
		return Fault{Kind: Kill, Target: program, For: within(r, 0, 2*time.Second)}
	case n < 37:
		return Fault{Kind: Pause, Target: program, For: w.Lease + within(r, 500*time.Millisecond, 3*time.Second)}
	case n < 45:
		return Fault{Kind: Restart, Target: program, For: within(r, 0, time.Second)}
	case n < 57:
		return Fault{Kind: Kill, Target: w.Servers[r.IntN(len(w.Servers))], For: within(r, 0, 3*time.Second)}
	case n < 62:
		return Fault{Kind: Pause, Target: w.Pausable[r.IntN(len(w.Pausable))], For: within(r, time.Second, w.Lease+2*time.Second)}
	case n < 65:
		return Fault{Kind: Restart, Target: w.Servers[r.IntN(len(w.Servers))], For: within(r, 0, time.Second)}
	case n < 70:
		return Fault{Kind: Flush, Target: "redis"}
	case n < 75:
		return strike(r)
	case n < 87:
		peers := w.Programs[program]
		f := Fault{Kind: Cut, Target: peers[r.IntN(len(peers))], Peer: program}
		if r.IntN(5) == 0 {
			f.Peer = ""
		}
		f.Mode = []Mode{Refused, Silent, Mute}[r.IntN(3)]
		f.For = within(r, 300*time.Millisecond, w.Lease+2*time.Second)
		return f
	default:
		what := []string{Forge500, ForgeLost, ForgeLost, ForgeRateLimit}[r.IntN(4)]
		return Fault{Kind: Forge, Target: "forge", What: what, Times: 1 + r.IntN(3)}
	}
}

func within(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)+1))
}
