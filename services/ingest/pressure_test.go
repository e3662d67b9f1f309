package ingest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func TestABodyIsReadWholeInMemoryThatTheBudgetKnowsOf(t *testing.T) {
	for _, size := range []int{0, 1, firstStep - 1, firstStep, firstStep + 1, 10 << 10, largeFrom, largeFrom + 1, 3 << 20} {
		for name, length := range map[string]int64{"length said": int64(size), "length not said": -1} {
			want := bytes.Repeat([]byte("x"), size)
			b := newBudget(64 << 20)
			h := b.hold()
			got, err := readAll(t.Context(), iotest.HalfReader(bytes.NewReader(want)), length, h)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %s: %d bytes, %v", size, name, len(got), err)
			}
			if held := max(h.usual, h.large); held < int64(cap(got)) {
				t.Errorf("%d bytes, %s: %d held for %d", size, name, held, cap(got))
			}
			h.release()
			if !b.usual.TryAcquire(32<<20) || !b.large.TryAcquire(32<<20) {
				t.Errorf("%d bytes, %s: not all was given back", size, name)
			}
		}
	}
}

func TestASenderThatDribblesHoldsLittle(t *testing.T) {
	h := newBudget(64 << 20).hold()
	r, w := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := readAll(t.Context(), r, 20<<20, h)
		done <- err
	}()
	if _, err := w.Write(make([]byte, firstStep-1)); err != nil {
		t.Fatal(err)
	}
	_ = w.CloseWithError(io.ErrUnexpectedEOF)
	if err := <-done; !errors.Is(err, io.ErrUnexpectedEOF) || h.usual > firstStep || h.large != 0 {
		t.Errorf("%d and %d bytes held, %v", h.usual, h.large, err)
	}
}

func TestWhatFindsNoMemoryIsToldSoSoonAndLargeBodiesDontStarveUsualOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(8 << 20)
		large := b.hold()
		if err := large.grow(t.Context(), 100<<20); err != nil {
			t.Fatalf("a body larger than the budget is alone with it: %v", err)
		}
		start := time.Now()
		if err := b.hold().grow(t.Context(), 2<<20); !errors.Is(err, errBusy) || time.Since(start) != budgetWait {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := b.hold().grow(t.Context(), 10<<10); err != nil {
			t.Errorf("a usual body beside it: %v", err)
		}
		large.release()
		if err := b.hold().grow(t.Context(), 2<<20); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestTheClientIsWhomATrustedProxySpeaksFor(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct{ name, peer, forwarded, want string }{
		{"a peer that is no proxy is the client, whatever it says", "192.0.2.1:5", "198.51.100.9", "192.0.2.1"},
		{"a proxy speaks for the last address", "10.0.0.1:5", "198.51.100.9, 203.0.113.7", "203.0.113.7"},
		{"proxies behind proxies are passed over", "10.0.0.1:5", "203.0.113.7, 10.1.1.1, 10.2.2.2", "203.0.113.7"},
		{"a proxy that says nothing is the client", "10.0.0.1:5", "", "10.0.0.1"},
		{"what is no address ends the list", "10.0.0.1:5", "203.0.113.7, junk, 10.2.2.2", "10.2.2.2"},
		{"an address in IPv6's form of IPv4 is that address", "[::ffff:10.0.0.1]:5", "::ffff:203.0.113.7", "203.0.113.7"},
	} {
		r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{}}
		if tt.forwarded != "" {
			r.Header.Set("X-Forwarded-For", tt.forwarded)
		}
		if got := client(r, proxies); got.String() != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestAFullStreamIsToldOfUntilItHasRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Fullness{}
		f.note(true)
		if f.Ready(context.Background()) == nil {
			t.Error("ready while full")
		}
		f.note(false)
		if err := f.Ready(context.Background()); err != nil {
			t.Error(err)
		}
		f.note(true)
		<-time.After(fullFor)
		if err := f.Ready(context.Background()); err != nil {
			t.Errorf("nobody has tried for long: %v", err)
		}
	})
}
