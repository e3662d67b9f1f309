package redeliver_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/redeliver"
)

// event is one entry of GitLab's list, in the form of its documentation.
func event(id int, headers, status string) string {
	return fmt.Sprintf(`{"id":%d,"url":"https://example.net/","trigger":"pipeline_hooks","request_headers":{"Content-Type":"application/json",%s},`+
		`"request_data":{"object_kind":"pipeline"},"response_headers":{},"response_body":"","execution_duration":1.09,"response_status":%q}`, id, headers, status)
}

func TestGitLabsEventsAreResentUnderTheirKey(t *testing.T) {
	t.Parallel()
	events := [][]string{
		{
			event(9, `"Idempotency-Key":"k-new"`, "internal error"),
			event(8, `"Idempotency-Key":"k-mended"`, "200"),
		},
		{
			event(7, `"Idempotency-Key":"ignored","webhook-id":"w-1","webhook-signature":"v1,x"`, "503"),
			event(6, `"Idempotency-Key":"k-mended"`, "500"),
			event(5, `"Idempotency-Key":"k-known"`, "503"),
			event(4, `"X-Gitlab-Event":"Pipeline Hook"`, "503"),
		},
	}
	var resent []string
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v4/projects/{id}/hooks/7/events", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") != "acme/web/shop" || r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("Accept") != "application/json" {
			t.Errorf("%s with %q", r.URL.EscapedPath(), r.Header)
		}
		page := r.URL.Query().Get("page")
		if page == "1" {
			w.Header().Set("Link", `<https://elsewhere.invalid/?page=2>; rel="next"`)
		}
		_, _ = w.Write([]byte("[" + strings.Join(events[page[0]-'1'], ",") + "]"))
	})
	mux.HandleFunc("POST /api/v4/projects/{id}/hooks/7/events/{event}/resend", func(w http.ResponseWriter, r *http.Request) {
		resent = append(resent, r.PathValue("event"))
		if r.PathValue("event") == "9" {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(`{"message":"The hook URL has changed, and this log entry cannot be retried"}`))
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"response_status":200}`))
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	addresses, err := config.ParseGitLabHooks([]string{"project:acme/web/shop:7"})
	if err != nil {
		t.Fatal(err)
	}
	hooks, err := redeliver.GitLab(srv.URL+"/api/v4", token, addresses, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	round := redeliver.Round{
		Hooks: hooks, Records: records{"gitlab/k-known": true}, Limits: redeliver.DefaultLimits(), Now: time.Now,
		Pause: func(_ context.Context, d time.Duration) error {
			if d < 12*time.Second {
				t.Errorf("pause of %s: GitLab allows five a minute", d)
			}
			return nil
		},
	}
	rep := round.Run(t.Context(), time.Now())[0]
	var got []string
	for _, c := range rep.Deliveries {
		got = append(got, c.Delivery+" "+c.Verdict)
	}
	want := []string{"k-known recorded", "w-1 asked", "k-new refused"}
	if diff := cmp.Diff(want, got); diff != "" || rep.Err != nil || !cmp.Equal(resent, []string{"7", "9"}) {
		t.Errorf("%v, resent %q (-want +got):\n%s", rep.Err, resent, diff)
	}
	if !strings.Contains(rep.Deliveries[2].Detail, "hook URL has changed") {
		t.Errorf("%q", rep.Deliveries[2].Detail)
	}
}
