package notify_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/notify"
)

// receiver is a webhook that answers as it is told, and remembers.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []string
	status []int // of the next answers; then 200
}

func newReceiver(t *testing.T, status ...int) *receiver {
	t.Helper()
	r := &receiver{status: status}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, string(body))
		if len(r.status) > 0 {
			w.WriteHeader(r.status[0])
			r.status = r.status[1:]
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// address is the receiver's, with a secret in its path.
func (r *receiver) address() string {
	return "generic://" + strings.TrimPrefix(r.URL, "http://") + "/the-secret-path?disabletls=yes"
}

func (r *receiver) heard() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.got...)
}

func newNotifier(t *testing.T, now func() time.Time, perMinute int, warning ...string) *notify.Notifier {
	t.Helper()
	n, err := notify.New(notify.Options{
		Receivers: map[notify.Severity][]string{notify.Warning: warning}, PerMinute: perMinute, Now: now, Wait: func(context.Context, time.Duration) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOnlyTheReceiversOfASeverityAreTold(t *testing.T) {
	a, b := newReceiver(t), newReceiver(t)
	n := newNotifier(t, nil, 10, a.address(), b.address())
	for _, s := range []notify.Severity{notify.Info, notify.Warning, notify.Error} {
		if err := n.Notify(t.Context(), s, "it is "+string(s)); err != nil {
			t.Error(err)
		}
	}
	for _, r := range []*receiver{a, b} {
		if diff := cmp.Diff([]string{"it is warning"}, r.heard()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	}
	if n.Tells(notify.Info) || !n.Tells(notify.Warning) {
		t.Error("Tells is wrong about who is told")
	}
}

func TestWhatIsOverTheMinutesLimitIsCountedAndSaidLater(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	r := newReceiver(t)
	n := newNotifier(t, func() time.Time { return at }, 2, r.address())
	for i := range 5 {
		if err := n.Notify(t.Context(), notify.Warning, fmt.Sprint("number ", i)); err != nil {
			t.Error(err)
		}
	}
	at = at.Add(time.Minute)
	if err := n.Notify(t.Context(), notify.Warning, "the next minute"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"number 0", "number 1", "the next minute\n(3 more like this were not sent)"}, r.heard()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestAReceiverHasASecondTryAndItsAddressIsInNoError(t *testing.T) {
	once := newReceiver(t, http.StatusBadGateway)
	if err := newNotifier(t, nil, 10, once.address()).Notify(t.Context(), notify.Warning, "x"); err != nil || len(once.heard()) != 2 {
		t.Errorf("%v after %d tries", err, len(once.heard()))
	}
	never := newReceiver(t, http.StatusForbidden, http.StatusForbidden)
	err := newNotifier(t, nil, 10, never.address()).Notify(t.Context(), notify.Warning, "x")
	if err == nil || strings.Contains(err.Error(), "secret") || len(never.heard()) != 2 {
		t.Errorf("%v after %d tries", err, len(never.heard()))
	}
	for _, bad := range []string{"", "nobody://the-secret-path", "the-secret-path", "slack://the-secret-path", "exec:///bin/the-secret-path"} {
		_, err := notify.New(notify.Options{Receivers: map[notify.Severity][]string{notify.Info: {bad}}})
		if err == nil || strings.Contains(err.Error(), "the-secret-path") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// One address for each service that the documentation names.
func TestTheServicesThatAreNamedAreKnown(t *testing.T) {
	for name, address := range map[string]string{
		"Slack":     "slack://hook:T00000000-B00000000-XXXXXXXXXXXXXXXXXXXXXXXX@webhook",
		"Teams":     "teams://11111111-4444-4444-8444-cccccccccccc@22222222-4444-4444-8444-cccccccccccc/33333333012222222222333333333344/44444444-4444-4444-8444-cccccccccccc/V2ESyij_gAljSoUQHvZoZYzlpAoAXExyOl26dlf1xHEx05?host=example.webhook.office.com",
		"e-mail":    "smtp://user:password@mail.example.com:587/?from=sre@example.com&to=you@example.com&subject=sre-agent",
		"PagerDuty": "pagerduty://events.pagerduty.com/0123456789abcdef0123456789abcdef",
		"a webhook": "generic+https://hooks.example.com/sre-agent?template=json",
	} {
		if _, err := notify.New(notify.Options{Receivers: map[notify.Severity][]string{notify.Info: {address}}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestATextCallsNobodyAndHidesNothing(t *testing.T) {
	for in, want := range map[string]string{
		"<!channel> @here [a](https://x) *b* `c`":    "‹!channel› ＠here  a (https://x)  b   c",
		"a\x00b\x1b[31mc\r\nd":                       "ab 31mc\nd",
		"left\u202eright\u200b":                      "leftright",
		strings.Repeat("ä", 2000):                    strings.Repeat("ä", 750) + "…",
		"  a pull request is open: https://f/pull/1": "a pull request is open: https://f/pull/1",
	} {
		if got := notify.Plain(in); got != want {
			t.Errorf("%.40q gives %.60q, want %.60q", in, got, want)
		}
	}
}
