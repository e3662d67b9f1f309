package conform

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

// Want is how a call has to end. The zero value is success.
type Want struct {
	// Reason is that of a permanent error.
	Reason string
	// Is is one of the errors of package forge.
	Is error
	// Temporary says that the error may pass: a *httpapi.RetryError, with After as its wait.
	Temporary bool
	After     time.Duration
}

// Check reports what is not as wanted, and every secret in the error.
func (w Want) Check(t testing.TB, d Driver, what string, err error) {
	t.Helper()
	var retry *httpapi.RetryError
	temporary := errors.As(err, &retry)
	reason, _ := fault.Reason(err)
	switch {
	case (err != nil) != (w.Reason != "" || w.Is != nil || w.Temporary), reason != w.Reason, temporary != w.Temporary, w.Is != nil && !errors.Is(err, w.Is):
		t.Errorf("%s: %v (reason %q, temporary %t), want %+v", what, err, reason, temporary, w)
	case temporary && retry.After != w.After:
		t.Errorf("%s: to wait %s, want %s", what, retry.After, w.After)
	}
	hides(t, d, what, err)
}

// hides looks for the tokens in an error, and in every error that it wraps.
func hides(t testing.TB, d Driver, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, secret := range d.Secrets() {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows a token", what)
		}
	}
	switch x := err.(type) { //nolint:errorlint // each step of the chain is wanted, not one kind
	case interface{ Unwrap() error }:
		hides(t, d, what, x.Unwrap())
	case interface{ Unwrap() []error }:
		for _, e := range x.Unwrap() {
			hides(t, d, what, e)
		}
	}
}
