package redeliver

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
)

func TestNothingButAskingForRedeliveryIsWritten(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	defer srv.Close()
	a := newAPI(srv.URL, "", "application/json", fixed("t"), time.Now)
	for call, allowed := range map[[2]string]bool{
		{"POST", "/repos/a/b/hooks/1/deliveries/2/attempts"}: true, {"POST", "/projects/1/hooks/1/events/2/resend"}: true,
		{"POST", "/repos/a/b/pulls"}: false, {"PATCH", "/repos/a/b/hooks/1/deliveries/2/attempts"}: false, {"DELETE", "/repos/a/b/hooks/1"}: false,
	} {
		_, err := a.call(t.Context(), call[0], call[1], nil, nil)
		if reason, _ := fault.Reason(err); (err == nil) != allowed || !allowed && reason != "not_a_redelivery" {
			t.Errorf("%v: %v", call, err)
		}
	}
}
