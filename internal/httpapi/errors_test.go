package httpapi_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

func TestEachAnswerIsClassifiedOnce(t *testing.T) {
	const secondary = `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}`
	for _, tc := range []struct {
		name   string
		status int
		header map[string]string
		body   string
		reason string // of a permanent error
		retry  bool
		after  time.Duration
	}{
		{"500 may pass", 500, nil, "", "", true, 0},
		{"502 from a proxy may pass", 502, nil, "<html>", "", true, 0},
		{"503 says when", 503, map[string]string{"Retry-After": "17"}, "", "", true, 17 * time.Second},
		{"408 may pass", 408, nil, "", "", true, 0},
		{"429 without a sign", 429, nil, "", "", true, time.Minute},
		{"429 with a wait", 429, map[string]string{"Retry-After": "5"}, "", "", true, 5 * time.Second},
		{"a wait given as a date", 429, map[string]string{"Retry-After": "Tue, 14 Nov 2023 22:13:50 GMT"}, "", "", true, 30 * time.Second},
		{"an absurd wait is bounded", 429, map[string]string{"Retry-After": "999999999999999999"}, "", "", true, 2 * time.Hour},
		{"a wait in the past is none", 429, map[string]string{"Retry-After": "-4"}, "", "", true, 0},
		{"403 with Retry-After", 403, map[string]string{"Retry-After": "60"}, secondary, "", true, time.Minute},
		{
			"403 with nothing left until the reset", 403,
			map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1700000090"},
			`{"message":"API rate limit exceeded for user ID 1."}`, "", true, 90 * time.Second,
		},
		{
			"429 with nothing left until the reset, by GitLab's names", 429,
			map[string]string{"RateLimit-Remaining": "0", "RateLimit-Reset": "1700000090"},
			"", "", true, 90 * time.Second,
		},
		{"403 secondary limit by its text", 403, nil, secondary, "", true, time.Minute},
		{"403 with calls left is a refusal", 403, map[string]string{"X-RateLimit-Remaining": "17"}, `{"message":"Must have admin rights"}`, "forbidden", false, 0},
		{"401", 401, nil, `{"message":"Bad credentials"}`, "unauthorized", false, 0},
		{"404", 404, nil, "", "not_found", false, 0},
		{"410", 410, nil, "", "gone", false, 0},
		{"409", 409, nil, `{"message":"Conflict"}`, "rejected", false, 0},
		{"422", 422, nil, `{"message":"Validation Failed"}`, "rejected", false, 0},
		{"400", 400, nil, "", "unexpected_status", false, 0},
		{"304 where none was asked for", 304, nil, "", "unexpected_status", false, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := server(t, func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range tc.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			})
			_, err := client(srv.URL).Get(t.Context(), "/x", nil, nil)
			reason, _ := fault.Reason(err)
			var retry *httpapi.RetryError
			if isRetry := errors.As(err, &retry); isRetry != tc.retry || reason != tc.reason {
				t.Fatalf("error = %v (reason %q, retry %v)", err, reason, isRetry)
			}
			if tc.retry && (retry.After != tc.after || retry.Status != tc.status) {
				t.Errorf("after = %s, status = %d; want %s, %d", retry.After, retry.Status, tc.after, tc.status)
			}
			if guessed := tc.status < 500 && tc.status != 408 && tc.header == nil; tc.retry && retry.Guessed != guessed {
				t.Errorf("that the wait is a guess is %t", retry.Guessed)
			}
			var se *httpapi.StatusError
			if !tc.retry && (!errors.As(err, &se) || se.Status != tc.status) {
				t.Errorf("no StatusError with status %d in %v", tc.status, err)
			}
		})
	}
}

func TestARefusalCarriesTheAPIsWordsWithoutTheToken(t *testing.T) {
	body := `{"message":"Validation Failed for ` + token + `\nsecond line","errors":[` +
		`{"resource":"PullRequest","code":"custom","message":"` + token + ` exists"},"plain words"]}`
	srv := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, body)
	})
	_, err := client(srv.URL).Get(t.Context(), "/x", nil, nil)
	var se *httpapi.StatusError
	if !errors.As(err, &se) {
		t.Fatalf("error = %v, want a StatusError", err)
	}
	want := &httpapi.StatusError{
		Op: "GET /x", Status: 422, Message: "Validation Failed for [token] second line",
		Errors: []httpapi.Detail{{Resource: "PullRequest", Code: "custom", Message: "[token] exists"}, {Message: "plain words"}},
	}
	if diff := cmp.Diff(want, se); diff != "" {
		t.Errorf("StatusError differs (-want +got):\n%s", diff)
	}
}

func TestAMessageMayBeAListOrBeAboutFields(t *testing.T) {
	for body, want := range map[string]string{
		`{"message":["one exists: !1"]}`:                                         "one exists: !1",
		`{"message":["one","two"]}`:                                              "one; two",
		`{"message":{"title":["is long","is bad"],"base":["is ` + token + `"]}}`: "base is [token]; title is long, is bad",
		`{"error":"title is missing"}`:                                           "title is missing",
		`{"error":["disabled"],"message":null}`:                                  "disabled",
		`{"message":{"deep":{"er":1}}}`:                                          "",
		`{"message":7}`:                                                          "",
		`[]`:                                                                     "",
	} {
		srv := server(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, body)
		})
		_, err := client(srv.URL).Get(t.Context(), "/x", nil, nil)
		var se *httpapi.StatusError
		if !errors.As(err, &se) || se.Message != want {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}

func TestNoErrorHoldsTheTokenOrASignedURL(t *testing.T) {
	srv := server(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			w.Header().Set("Location", "http://127.0.0.1:1/?sig=SIGNATURE&t="+token)
		case "/badredirect":
			w.Header().Set("Location", "http://[::1/?sig=SIGNATURE&t="+token)
		case "/500":
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"message":"`+token+`"}`)
			return
		}
		w.WriteHeader(http.StatusFound)
	})
	for _, path := range []string{"/redirect", "/badredirect", "/500"} {
		_, err := client(srv.URL).Get(t.Context(), path, nil, nil)
		for e := err; e != nil; e = errors.Unwrap(e) {
			if text := e.Error(); strings.Contains(text, token) || strings.Contains(text, "SIGNATURE") {
				t.Errorf("%s: the error tells a secret: %s", path, text)
			}
		}
		if err == nil {
			t.Errorf("%s: no error", path)
		}
	}
}

func TestHugeErrorBodiesAreCut(t *testing.T) {
	srv := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"message":"`+strings.Repeat("é", 20_000)+`"}`)
	})
	_, err := client(srv.URL).Get(t.Context(), "/x", nil, nil)
	if len(err.Error()) > 1000 || !strings.Contains(err.Error(), "é") {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}
