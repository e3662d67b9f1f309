package failure

import "io"

// setBits is the size of the set of a passing log's lines, as a power of two of bits: 4 MiB, which tells a line
// that isn't in it in all but one of a thousand cases up to a million lines.
const setBits = 25

// lineSet remembers the lines of a log in a fixed amount of memory, without what differs from run to run.
type lineSet struct {
	bits []uint64
}

func readSet(log io.Reader) (*lineSet, error) {
	s := &lineSet{bits: make([]uint64, 1<<setBits/64)}
	var buf []byte
	err := eachLine(log, func(_ int, raw []byte) {
		buf = plainForm(buf[:0], kept(clean(raw)))
		s.add(buf)
	})
	return s, err
}

// hash is FNV-1a with its bits mixed once more.
func hash(form []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range form {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	return h ^ h>>33
}

// places are the four bits of a line.
func places(form []byte) [4]uint64 {
	h := hash(form)
	step := h>>32 | 1
	var out [4]uint64
	for i := range out {
		out[i] = (h + uint64(i)*step) & (1<<setBits - 1)
	}
	return out
}

func (s *lineSet) add(form []byte) {
	for _, p := range places(form) {
		s.bits[p/64] |= 1 << (p % 64)
	}
}

func (s *lineSet) has(form []byte) bool {
	for _, p := range places(form) {
		if s.bits[p/64]&(1<<(p%64)) == 0 {
			return false
		}
	}
	return true
}

// plainForm leaves out of a line what differs from run to run: blanks, numbers, and hexadecimal words with a digit
// in them. It is cheap, as every line of a passing log goes through it.
func plainForm(buf []byte, text string) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		if !wordByte(c) {
			if c != ' ' && c != '\t' {
				buf = append(buf, c)
			}
			i++
			continue
		}
		j, hex, digit := i, true, false
		for ; j < len(text) && wordByte(text[j]); j++ {
			d := text[j] >= '0' && text[j] <= '9'
			digit = digit || d
			hex = hex && (d || (text[j]|0x20 >= 'a' && text[j]|0x20 <= 'f'))
		}
		if hex && digit {
			buf = append(buf, '#')
		} else {
			buf = appendWord(buf, text[i:j])
		}
		i = j
	}
	return buf
}

func appendWord(buf []byte, word string) []byte {
	for i := range len(word) {
		c := word[i]
		if c >= '0' && c <= '9' {
			if len(buf) > 0 && buf[len(buf)-1] == '#' {
				continue
			}
			c = '#'
		}
		buf = append(buf, c)
	}
	return buf
}

func wordByte(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}
