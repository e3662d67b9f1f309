package config

import (
	"fmt"
	"log/slog"
	"strings"
)

const hidden = "[hidden]"

// Secret is a value that never shows itself: every way of printing or encoding it gives "[hidden]".
type Secret struct {
	// A pointer, since fmt and reflection print the fields of a struct without asking its methods when the
	// struct is itself an unexported field; of a pointer they show the address alone.
	value *string
}

// NewSecret wraps a value.
func NewSecret(value string) Secret { return Secret{value: &value} }

// Reveal returns the value. Call it only where the value is used.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsSet says whether there is a value.
func (s Secret) IsSet() bool { return s.Reveal() != "" }

// String gives "[hidden]".
func (s Secret) String() string { return hidden }

// Format gives "[hidden]" for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// MarshalJSON gives "[hidden]".
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

// MarshalText gives "[hidden]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue gives "[hidden]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// UnmarshalText takes the value from the environment.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// SecretList is several secrets of which each is accepted, so that one can be replaced without a gap.
type SecretList []Secret

// Bytes reveals the secrets, for a signature's check.
func (l SecretList) Bytes() [][]byte {
	out := make([][]byte, len(l))
	for i, s := range l {
		out[i] = []byte(s.Reveal())
	}
	return out
}

// UnmarshalText splits at commas and line ends.
func (l *SecretList) UnmarshalText(text []byte) error {
	*l = nil
	for _, part := range split(string(text)) {
		*l = append(*l, NewSecret(part))
	}
	return nil
}

// List is several values separated by commas or line ends.
type List []string

// UnmarshalText splits at commas and line ends.
func (l *List) UnmarshalText(text []byte) error {
	*l = split(string(text))
	return nil
}

func split(text string) []string {
	var parts []string
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
