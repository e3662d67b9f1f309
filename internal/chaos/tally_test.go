package chaos

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

// TestTheTallyAddsUpTheLivesOfAProgram: what a process counted stays counted when the next one begins at zero.
func TestTheTallyAddsUpTheLivesOfAProgram(t *testing.T) {
	tally, err := NewTally(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tally.Close)
	for k, v := range tally.Environ() {
		t.Setenv(k, v)
	}
	series := Series{telemetry.LoopBlocked, string(telemetry.LoopOwnBranch)}
	for life := 1; life <= 2; life++ {
		tel, err := telemetry.Start(t.Context(), telemetry.Options{Service: "x", LogFormat: "json", LogLevel: "error", Writer: t.Output()})
		if err != nil {
			t.Fatal(err)
		}
		tel.Counters.LoopBlocked(t.Context(), telemetry.LoopOwnBranch)
		tel.Counters.RunEnded(t.Context(), telemetry.EndingBlocked) // none of the six
		if life == 1 {
			testenv.Eventually(t, 10*time.Second, func() bool { return tally.Counted()[series] == 1 }) // without a word
		} else {
			tel.Counters.LoopBlocked(t.Context(), telemetry.LoopOwnBranch)
		}
		if err := tel.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	got := tally.Counted()
	if got[series] != 3 {
		t.Errorf("%d, want 3", got[series])
	}
	for s := range got {
		if s.Counter == telemetry.RunsEnded {
			t.Errorf("%v is none of the six", s)
		}
	}
}

func TestTheTallyRefusesWhatItCannotRead(t *testing.T) {
	tally, err := NewTally(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tally.Close)
	res, err := http.Post(tally.Environ()["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"], "application/x-protobuf", strings.NewReader("not protobuf"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", res.StatusCode)
	}
}

func TestAnEntryIsSureWhereNothingWasDisturbed(t *testing.T) {
	series := Series{telemetry.Retry, string(telemetry.RetryCrash)}
	spans := []Span{{at(1), at(2)}}
	for _, tc := range []struct {
		name  string
		entry Entry
		spans []Span
		sure  int
	}{
		{"before", Entry{Series: series, At: at(0.9)}, spans, 1},
		{"within", Entry{Series: series, At: at(1.5)}, spans, 0},
		{"after", Entry{Series: series, At: at(2.1)}, spans, 1},
		{"at no known moment", Entry{Series: series}, spans, 0},
		{"at no known moment of an undisturbed time", Entry{Series: series}, nil, 1},
		{"a request whose answer nobody heard", Entry{Series: series, At: at(0.9), Maybe: true}, nil, 0},
	} {
		for _, c := range Tallies(nil, []Entry{tc.entry}, tc.spans) {
			if c.Series == series && (c.Recounted != 1 || c.Sure != tc.sure) {
				t.Errorf("%s: %+v", tc.name, c)
			}
		}
	}
}

func TestAFixThatWasPutOffIsNoFailedTry(t *testing.T) {
	retry, crash := Series{telemetry.Retry, string(telemetry.RetryPublish)}, Series{telemetry.Retry, string(telemetry.RetryCrash)}
	all := []Entry{{Series: retry}, {Series: crash}, {Series: retry}, {Series: retry}}
	for n, want := range map[int]int{0: 4, 2: 2, 5: 1} {
		if got := withoutPutOffs(slices.Clone(all), n); len(got) != want || !slices.Contains(got, Entry{Series: crash}) {
			t.Errorf("%d were put off: %v", n, got)
		}
	}
}
