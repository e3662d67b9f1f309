package joblog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/joblog"
)

func TestEndsKeepWhatFitsAndSayWhatIsLeftOut(t *testing.T) {
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	full := b.String()
	for _, limit := range []int{1, 5, 100, 255, 256, 4000, 4001, 40_003, len(full) - 1, len(full), len(full) + 1} {
		for _, chunk := range []int{1, 7, 4096, len(full)} {
			e, err := joblog.NewEnds(int64(limit))
			if err != nil {
				t.Fatal(err)
			}
			for rest := full; rest != ""; rest = rest[min(chunk, len(rest)):] {
				_, _ = e.Write([]byte(rest[:min(chunk, len(rest))]))
			}
			raw, truncated := e.Text()
			text := string(raw)
			switch {
			case limit >= len(full):
				if truncated || text != full {
					t.Errorf("limit %d, chunk %d: a log that fits is cut", limit, chunk)
				}
			case limit < 256:
				if want := full[:limit/4] + full[len(full)-(limit-limit/4):]; !truncated || text != want {
					t.Errorf("limit %d, chunk %d: %q, want %q", limit, chunk, text, want)
				}
			default:
				head, rest, ok1 := strings.Cut(text, "\n[... ")
				count, tail, ok2 := strings.Cut(rest, " bytes left out ...]\n")
				if !truncated || !ok1 || !ok2 || len(text) > limit || len(head) != limit/4 || !strings.HasPrefix(full, head) || !strings.HasSuffix(full, tail) ||
					count != fmt.Sprint(len(full)-len(head)-len(tail)) {
					t.Errorf("limit %d, chunk %d: %d bytes, head %d, tail %d, %s left out", limit, chunk, len(text), len(head), len(tail), count)
				}
			}
		}
	}
	for _, limit := range []int64{0, -1, 1 << 40} {
		if _, err := joblog.NewEnds(limit); !permanent(err, "invalid_limit") {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
}

func permanent(err error, want string) bool {
	reason, ok := fault.Reason(err)
	return ok && reason == want
}
