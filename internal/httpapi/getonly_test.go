package httpapi

import (
	"net/http"
	"testing"

	"github.com/sre-agent/sre-agent/internal/fault"
)

func TestTheClientsOwnTransportCarriesNothingButGET(t *testing.T) {
	c := New(Options{BaseURL: "http://127.0.0.1:1"})
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		req, err := c.Prepare(t.Context(), method, "/x", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.hc.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if reason, _ := fault.Reason(c.TransportError(method, err)); reason != "not_a_read" {
			t.Errorf("%s: %v, want not_a_read", method, err)
		}
	}
}
