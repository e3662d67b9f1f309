package failure

const (
	// maxEnd is how much of a step's start and of its end is looked at line by line, in bytes.
	maxEnd = 1 << 20
	// maxHot is how much of what looks like an error is kept of a step's middle, in bytes.
	maxHot = 256 << 10
	// lineCost is what a kept line costs besides its text.
	lineCost = 32
)

// section gathers the lines of one step: all of a usual one; of a long one its start, its end, and between them
// the lines that look like errors.
type section struct {
	title   string
	command string
	// failed says that a process ended with an error here, noted that an error was noted.
	failed, noted bool
	head, hot     []Line
	tail          []Line
	// sizes in bytes
	headSize, hotSize, tailSize int
	// first is the oldest line of the tail.
	first int
}

func (s *section) add(l Line) {
	size := len(l.Text) + lineCost
	if s.headSize < maxEnd {
		s.head = append(s.head, l)
		s.headSize += size
		return
	}
	s.tail = append(s.tail, l)
	s.tailSize += size
	for s.tailSize > maxEnd && s.first < len(s.tail)-1 {
		s.drop()
	}
	if s.first > 4096 && s.first > len(s.tail)/2 {
		s.tail = append(s.tail[:0], s.tail[s.first:]...)
		s.first = 0
	}
}

// drop lets go of the oldest line of the tail, unless it looks like an error.
func (s *section) drop() {
	l := s.tail[s.first]
	s.tail[s.first].Text = ""
	s.first++
	s.tailSize -= len(l.Text) + lineCost
	if s.hotSize < maxHot && containsAny(l.Text, hotWords) {
		s.hot = append(s.hot, l)
		s.hotSize += len(l.Text) + lineCost
	}
}

// hotWords are cheap signs of an error.
var hotWords = []string{"rror", "FAIL", "ailed", "ERR", "panic", "xception", "raceback"}

// lines are the kept lines in the log's order; empty ones too.
func (s *section) lines() []Line {
	out := make([]Line, 0, len(s.head)+len(s.hot)+len(s.tail)-s.first)
	out = append(out, s.head...)
	out = append(out, s.hot...)
	return append(out, s.tail[s.first:]...)
}
