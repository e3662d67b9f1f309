// Package memstream is a JetStream stream with one durable consumer in memory: the double for the simulator.
//
// It promises what the streams' table asks of the server: publishes deduplicated by message id within a window, each
// message delivered at least once, again after BackOff when it is not acknowledged, and given up after MaxDeliver;
// and that a snapshot taken earlier can be put back, as a restore from an older copy does.
package memstream

import (
	"slices"
	"time"

	"github.com/sre-agent/sre-agent/cmd/sim/guard"
	"github.com/sre-agent/sre-agent/streams"
)

// Config is what the table says of a stream and its consumer.
type Config struct {
	Name string
	// WorkQueue removes a message when it is acknowledged.
	WorkQueue  bool
	Duplicates time.Duration
	MaxDeliver int
	BackOff    []time.Duration
}

// Delivery is a message in somebody's hands.
type Delivery struct {
	Message *streams.Message
	// Owner is whoever has it; Alive is asked before it is taken away.
	Owner any
}

type pending struct {
	deliveries int
	deadline   time.Time
	owner      any
}

type stored struct {
	msg *streams.Message
	at  time.Time
}

// state is all that the server keeps on disk.
type state struct {
	first, last uint64
	msgs        map[uint64]stored
	ids         map[string]time.Time
	next        uint64
	pending     map[uint64]pending
}

// Stream is not safe for concurrent use: its owner serialises.
type Stream struct {
	Config
	clock func() time.Time
	off   guard.Off
	// Alive says whether an owner still tells the server that it works on a message.
	Alive func(owner any) bool
	// Exhausted is told of each message that is given up.
	Exhausted func(seq uint64, deliveries int)
	state
}

// New returns an empty stream.
func New(c Config, clock func() time.Time, off guard.Off) *Stream {
	s := &Stream{Config: c, clock: clock, off: off, Alive: func(any) bool { return false }, Exhausted: func(uint64, int) {}}
	s.Wipe()
	return s
}

// Wipe loses everything: the stream is made anew.
func (s *Stream) Wipe() {
	s.state = state{first: 1, msgs: map[uint64]stored{}, ids: map[string]time.Time{}, next: 1, pending: map[uint64]pending{}}
}

// Publish stores a message and returns its sequence, unless its id is known: then duplicate is true.
func (s *Stream) Publish(m *streams.Message) (seq uint64, duplicate bool) {
	now := s.clock()
	if m.ID != "" {
		if at, ok := s.ids[m.ID]; ok && now.Sub(at) < s.Duplicates {
			return 0, true
		}
		s.ids[m.ID] = now
	}
	s.last++
	s.msgs[s.last] = stored{m, now}
	return s.last, false
}

func (s *Stream) wait(deliveries int) time.Duration {
	return s.BackOff[min(deliveries, len(s.BackOff))-1]
}

// Next hands out a message, or nil: first one whose time is over, then the next new one.
func (s *Stream) Next(owner any) *streams.Message {
	now := s.clock()
	for _, seq := range s.overdue(now) {
		p := s.pending[seq]
		if p.owner != nil && s.Alive(p.owner) {
			p.deadline = now.Add(s.wait(p.deliveries))
			s.pending[seq] = p
			continue
		}
		if _, there := s.msgs[seq]; !there {
			delete(s.pending, seq)
			continue
		}
		if s.off[guard.StreamRedeliver] {
			s.pending[seq] = pending{deliveries: p.deliveries, deadline: now.Add(1000 * time.Hour)}
			continue
		}
		if p.deliveries >= s.MaxDeliver {
			delete(s.pending, seq)
			s.Exhausted(seq, p.deliveries)
			continue
		}
		return s.deliver(seq, p.deliveries+1, owner)
	}
	for s.next <= s.last {
		seq := s.next
		s.next++
		if _, there := s.msgs[seq]; there {
			return s.deliver(seq, 1, owner)
		}
	}
	return nil
}

func (s *Stream) overdue(now time.Time) []uint64 {
	var out []uint64
	for seq, p := range s.pending {
		if !p.deadline.After(now) {
			out = append(out, seq)
		}
	}
	slices.Sort(out)
	return out
}

func (s *Stream) deliver(seq uint64, n int, owner any) *streams.Message {
	s.pending[seq] = pending{deliveries: n, deadline: s.clock().Add(s.wait(n)), owner: owner}
	m := *s.msgs[seq].msg
	m.Stream, m.Sequence, m.Deliveries = s.Name, seq, uint64(n)
	return &m
}

// NextAt is when a message in somebody's hands may come back at the earliest; zero when none can.
func (s *Stream) NextAt() time.Time {
	var at time.Time
	for _, p := range s.pending {
		if at.IsZero() || p.deadline.Before(at) {
			at = p.deadline
		}
	}
	return at
}

// Ack is done with a message; a late one counts too. Term is the same to the server.
func (s *Stream) Ack(seq uint64) {
	if seq >= s.next {
		return // of a stream that was there before this one
	}
	delete(s.pending, seq)
	if s.WorkQueue {
		delete(s.msgs, seq)
	}
}

// Progress is a sign of life.
func (s *Stream) Progress(seq uint64) {
	if p, ok := s.pending[seq]; ok {
		p.deadline = s.clock().Add(s.wait(p.deliveries))
		s.pending[seq] = p
	}
}

// Leave ends the signs of life of one delivery: the message comes back when its time is over.
func (s *Stream) Leave(seq uint64, deliveries uint64) {
	if p, ok := s.pending[seq]; ok && p.deliveries == int(deliveries) {
		p.owner, p.deadline = nil, s.clock().Add(s.wait(p.deliveries))
		s.pending[seq] = p
	}
}

// Get returns a message that the stream keeps, or nil.
func (s *Stream) Get(seq uint64) *streams.Message {
	st, ok := s.msgs[seq]
	if !ok {
		return nil
	}
	m := *st.msg
	m.Stream, m.Sequence = s.Name, seq
	return &m
}

// Delete removes a message.
func (s *Stream) Delete(seq uint64) { delete(s.msgs, seq); delete(s.pending, seq) }

// Floor is the sequence up to which the consumer is done with everything; Last is the newest one.
func (s *Stream) Floor() uint64 {
	floor := s.next - 1
	for seq := range s.pending {
		floor = min(floor, seq-1)
	}
	return floor
}

// Last is the newest sequence.
func (s *Stream) Last() uint64 { return s.last }

// Len is how many messages are kept, and Unfinished how many the consumer still has to finish.
func (s *Stream) Len() int { return len(s.msgs) }

// Unfinished is how many messages the consumer is not done with.
func (s *Stream) Unfinished() int { return len(s.pending) + int(s.last-(s.next-1)) }

// Snapshot copies what the server keeps.
func (s *Stream) Snapshot() any { return clone(s.state) }

func clone(from state) state {
	to := from
	to.msgs, to.ids, to.pending = map[uint64]stored{}, map[string]time.Time{}, map[uint64]pending{}
	for k, v := range from.msgs {
		to.msgs[k] = v
	}
	for k, v := range from.ids {
		to.ids[k] = v
	}
	for k, v := range from.pending {
		to.pending[k] = v
	}
	return to
}

// Restore puts a snapshot back. What was in somebody's hands comes again at once, its deliveries counted anew.
func (s *Stream) Restore(snapshot any) {
	st, ok := snapshot.(state)
	if !ok {
		return
	}
	s.state = clone(st)
	s.Recount()
}

// Recount loses the consumer's count of what is in somebody's hands, as a server's death does.
func (s *Stream) Recount() {
	for seq := range s.pending {
		s.next = min(s.next, seq)
	}
	again := s.next
	for seq := again; seq <= s.last; seq++ {
		delete(s.pending, seq)
	}
}

// Lose removes a message as if it had never arrived.
func (s *Stream) Lose(seq uint64) {
	if m := s.msgs[seq].msg; m != nil {
		delete(s.ids, m.ID)
	}
	s.Delete(seq)
}

// Sequences lists what is kept, in order.
func (s *Stream) Sequences() []uint64 {
	out := make([]uint64, 0, len(s.msgs))
	for seq := range s.msgs {
		out = append(out, seq)
	}
	slices.Sort(out)
	return out
}
