package redeliver

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return noon.Add(-d) }

func TestWhatIsAskedForAndWhatIsNot(t *testing.T) {
	limits := Limits{Asks: 3, PerRound: 10, Rest: 30 * time.Minute}
	for name, tc := range map[string]struct {
		c     Case
		known bool
		want  string
	}{
		"one that failed once is asked for at once":        {Case{Attempts: 1, Last: ago(time.Second)}, false, ""},
		"one with a record is not":                         {Case{Attempts: 1, Last: ago(time.Hour)}, true, Recorded},
		"one that was asked for a while ago is":            {Case{Attempts: 2, Last: ago(31 * time.Minute)}, false, ""},
		"one that was just asked for rests":                {Case{Attempts: 2, Last: ago(29 * time.Minute)}, false, Resting},
		"the rest doubles":                                 {Case{Attempts: 3, Last: ago(59 * time.Minute)}, false, Resting},
		"and ends":                                         {Case{Attempts: 3, Last: ago(61 * time.Minute)}, false, ""},
		"one that was asked for often enough is given up":  {Case{Attempts: 4, Last: ago(24 * time.Hour)}, false, GaveUp},
		"one that was given up and has come is recorded":   {Case{Attempts: 4, Last: ago(24 * time.Hour)}, true, Recorded},
		"where no time is told only the number of asks is": {Case{Attempts: 2}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := limits.judge(&tc.c, tc.known, noon); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestTheDefaultLimitsNeverRestForEver(t *testing.T) {
	l := DefaultLimits()
	total := time.Duration(0)
	for n := range l.Asks - 1 {
		total += l.Rest << n
	}
	if total < 48*time.Hour || total > Window {
		t.Errorf("the last request comes %s after the first, want it in the third day", total)
	}
}

func TestOneAttemptThatSucceededIsEnough(t *testing.T) {
	newestFirst := []Attempt{
		{ID: "9", Delivery: "later", At: ago(1 * time.Hour), Status: "503"},
		{ID: "8", Delivery: "mended", At: ago(2 * time.Hour), OK: true},
		{ID: "7", Delivery: "twice", At: ago(3 * time.Hour), Status: "502"},
		{ID: "6", Delivery: "mended", At: ago(4 * time.Hour), Status: "503"},
		{ID: "5", Delivery: "spoilt", At: ago(5 * time.Hour), Status: "401"},
		{ID: "4", Delivery: "twice", At: ago(6 * time.Hour), Status: "503"},
		{ID: "3", Delivery: "spoilt", At: ago(7 * time.Hour), OK: true},
		{ID: "2", Delivery: "mended", At: ago(8 * time.Hour), Status: "503"},
		{ID: "1", Delivery: "fine", At: ago(9 * time.Hour), OK: true},
	}
	g := newGather()
	for _, a := range newestFirst {
		g.add(a)
	}
	var got []string
	for _, c := range g.failed() {
		got = append(got, fmt.Sprintf("%s %d %s %s by %s", c.Delivery, c.Attempts, c.Status, noon.Sub(c.First), c.newest.ID))
	}
	want := []string{"twice 2 502 6h0m0s by 7", "later 1 503 1h0m0s by 9"}
	if diff := cmp.Diff(want, got); diff != "" || g.attempts != 9 {
		t.Errorf("%d attempts (-want +got):\n%s", g.attempts, diff)
	}
}

func TestAnIdThatIngestCouldNotHaveTakenIsLeftAlone(t *testing.T) {
	for id, want := range map[string]bool{
		"5b0f0de2-1a7c-11f0-9d63-5b0b4a9f1c55": true, "": false, "a b": false, "a\x1b[2J": false, "é": false, string(make([]byte, 300)): false,
	} {
		if fit(id) != want {
			t.Errorf("fit(%q) = %v", id, !want)
		}
	}
}
