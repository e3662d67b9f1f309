package forgetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHooksListAttemptsByCursorAndForgetThemAfterThreeDays(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	s, err := Start(Options{Now: func() time.Time { return now }, ReadTokens: []string{"reader"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	signed := make(chan string, 9)
	recv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		signed <- r.Header.Get("X-Hub-Signature-256")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(recv.Close)
	hook := s.AddHook(Hook{Owner: "acme", Name: "shop", URL: recv.URL, Secret: "It's a Secret to Everybody", Tokens: []string{"admin"}})
	for n := range 3 {
		now = now.Add(time.Hour)
		s.Deliver(t.Context(), hook, fmt.Sprint("guid-", n), "push", []byte("Hello, World!"))
	}
	// The example of docs.github.com, "Validating webhook deliveries".
	if got := <-signed; got != "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17" {
		t.Errorf("signed %s", got)
	}
	ask := func(method, token, path string) (int, http.Header, []attempt) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.APIURL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		var list []attempt
		_ = json.Unmarshal(raw, &list) // an error's body is no list
		return resp.StatusCode, resp.Header, list
	}
	path := fmt.Sprintf("/repos/acme/shop/hooks/%d/deliveries", hook)
	code, header, list := ask("GET", "admin", path+"?per_page=2")
	if code != 200 || len(list) != 2 || list[0].GUID != "guid-2" || list[0].StatusCode != 503 || header.Get("Link") == "" {
		t.Errorf("%d %v %+v", code, header, list)
	}
	_, header, list = ask("GET", "admin", fmt.Sprintf("%s?per_page=2&cursor=v1_%d", path, list[1].ID-1))
	if len(list) != 1 || list[0].GUID != "guid-0" || header.Get("Link") != "" {
		t.Errorf("%v %+v", header, list)
	}
	attempts := fmt.Sprintf("%s/%d/attempts", path, list[0].ID)
	var codes []int
	for _, r := range [][3]string{
		{"GET", "reader", path},
		{"GET", "other", path},
		{"POST", "reader", attempts},
		{"GET", "admin", "/orgs/acme" + path[len("/repos/acme/shop"):]},
		{"POST", "admin", path + "/1/attempts"},
		{"GET", "admin", "/app/hook/deliveries"},
		{"GET", "admin", path + "?cursor=x"},
		{"POST", "admin", attempts},
	} {
		code, _, _ := ask(r[0], r[1], r[2])
		codes = append(codes, code)
	}
	if diff := cmp.Diff([]int{404, 404, 404, 404, 404, 401, 422, 202}, codes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.active.Wait()
	if _, _, list := ask("GET", "admin", path); len(list) != 4 || !list[0].Redelivery || list[0].GUID != "guid-0" {
		t.Errorf("%+v", list)
	}
	now = now.Add(72*time.Hour - 30*time.Minute)
	if _, _, list := ask("GET", "admin", path); len(list) != 2 {
		t.Errorf("after three days: %+v", list)
	}
	if v := s.Violations(); len(v) != 0 {
		t.Error(v)
	}
}
