package httpapi_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const token = "ghp_verysecrettoken"

func server(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv
}

func client(base string) *httpapi.Client {
	return httpapi.New(httpapi.Options{
		BaseURL: base, Token: token, Version: "2022-11-28",
		Now: func() time.Time { return time.Unix(1_700_000_000, 0) },
	})
}

func TestGetSendsTheAPIsHeadersAndEscapesThePath(t *testing.T) {
	var got http.Header
	var uri string
	srv := server(t, func(w http.ResponseWriter, r *http.Request) {
		got, uri = r.Header.Clone(), r.RequestURI
		_, _ = io.WriteString(w, `{"n": 7}`)
	})
	path, err := httpapi.Path("repos", "a/b", "%2e%2e", "x y?z#")
	if err != nil {
		t.Fatal(err)
	}
	var out struct{ N int }
	if _, err := client(srv.URL+"/api/v3/").Get(t.Context(), path, url.Values{"q": {"a&b"}}, &out); err != nil {
		t.Fatal(err)
	}
	if want := "/api/v3/repos/a%2Fb/%252e%252e/x%20y%3Fz%23?q=a%26b"; uri != want {
		t.Errorf("request for %s, want %s", uri, want)
	}
	sent := map[string]string{}
	for _, k := range []string{"Authorization", "User-Agent", "X-Github-Api-Version", "Accept"} {
		sent[k] = got.Get(k)
	}
	want := map[string]string{
		"Authorization": "Bearer " + token, "User-Agent": "sre-agent",
		"X-Github-Api-Version": "2022-11-28", "Accept": "application/vnd.github+json",
	}
	if diff := cmp.Diff(want, sent); diff != "" || out.N != 7 {
		t.Errorf("headers differ (-want +got), n = %d:\n%s", out.N, diff)
	}
}

func TestPathRefusesSegmentsThatLeaveTheirFolder(t *testing.T) {
	for _, bad := range []string{"", ".", ".."} {
		_, err := httpapi.Path("repos", bad, "x")
		if reason, _ := fault.Reason(err); reason != "invalid_name" {
			t.Errorf("Path with %q: %v, want invalid_name", bad, err)
		}
	}
}

func TestTheTokenDoesNotFollowARedirectToAnotherOrigin(t *testing.T) {
	var leaked http.Header
	// Another port of the same IP: net/http alone would send the token there.
	other := server(t, func(w http.ResponseWriter, r *http.Request) {
		leaked = r.Header.Clone()
		_, _ = io.WriteString(w, "log text")
	})
	var home []string
	api := server(t, func(w http.ResponseWriter, r *http.Request) {
		home = append(home, r.Header.Get("Authorization"))
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/here", http.StatusMovedPermanently)
			return
		}
		http.Redirect(w, r, other.URL+"/blob?sig=x", http.StatusFound)
	})
	body, err := client(api.URL).GetStream(t.Context(), "/moved", nil, "text/plain")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	if text, _ := io.ReadAll(body); string(text) != "log text" {
		t.Errorf("body = %q", text)
	}
	for _, name := range []string{"Authorization", "Referer", "Cookie"} {
		if v := leaked.Get(name); v != "" {
			t.Errorf("the other host was sent %s: %s", name, v)
		}
	}
	if diff := cmp.Diff([]string{"Bearer " + token, "Bearer " + token}, home); diff != "" {
		t.Errorf("the API itself gets the token on both hops (-want +got):\n%s", diff)
	}
}

func TestRedirectsAreFew(t *testing.T) {
	srv := server(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) })
	_, err := client(srv.URL).GetStream(t.Context(), "/loop", nil, "text/plain")
	if reason, _ := fault.Reason(err); reason != "too_many_redirects" {
		t.Errorf("error = %v, want too_many_redirects", err)
	}
}

func TestARedirectFromHTTPSToHTTPIsRefused(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/plain", http.StatusFound)
	}))
	defer srv.Close()
	c := httpapi.New(httpapi.Options{BaseURL: srv.URL, Token: token, HTTP: srv.Client()})
	_, err := c.GetStream(t.Context(), "/x", nil, "text/plain")
	if reason, _ := fault.Reason(err); reason != "insecure_redirect" {
		t.Errorf("error = %v, want insecure_redirect", err)
	}
}

func TestAPostIsNeverRedirectedToAnotherOrigin(t *testing.T) {
	reached := false
	other := server(t, func(http.ResponseWriter, *http.Request) { reached = true })
	srv := server(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	c := client(srv.URL)
	req, err := c.Prepare(t.Context(), http.MethodPost, "/x", nil, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Guard(nil).Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if reason, _ := fault.Reason(c.TransportError("POST /x", err)); reason != "foreign_redirect" || reached {
		t.Errorf("error = %v, reached = %v; want foreign_redirect", err, reached)
	}
}

func TestAWriteIsNotFollowedByAReadInItsPlace(t *testing.T) {
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther} {
		srv := server(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				http.Redirect(w, r, "/elsewhere", status)
				return
			}
			_, _ = io.WriteString(w, "{}")
		})
		c := client(srv.URL)
		req, err := c.Prepare(t.Context(), http.MethodPost, "/x", nil, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Guard(nil).Do(req)
		if err == nil {
			_ = resp.Body.Close()
			t.Fatalf("%d: the answer of another request passes for that of the write", status)
		}
		if reason, _ := fault.Reason(c.TransportError("POST /x", err)); reason != "redirected_write" {
			t.Errorf("%d: %v, want redirected_write", status, err)
		}
	}
}

func TestABaseURLThatCannotBeUsedIsPermanentAndNotRepeated(t *testing.T) {
	for _, base := range []string{"", "ftp://x", "://", "http://", "https://me:" + token + "@host", "https://host?key=" + token} {
		_, err := client(base).Get(t.Context(), "/x", nil, nil)
		if reason, _ := fault.Reason(err); reason != "invalid_api_url" || strings.Contains(err.Error(), token) {
			t.Errorf("base %q: %v, want invalid_api_url", base, err)
		}
	}
}

func TestAnAnswerThatIsTooLargeOrNotJSON(t *testing.T) {
	srv := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			_, _ = io.WriteString(w, `"`+strings.Repeat("x", 9<<20)+`"`)
			return
		}
		_, _ = io.WriteString(w, "<html>a proxy says: "+token)
	})
	var out string
	_, err := client(srv.URL).Get(t.Context(), "/large", nil, &out)
	if reason, _ := fault.Reason(err); reason != "response_too_large" {
		t.Errorf("large: %v, want response_too_large", err)
	}
	_, err = client(srv.URL).Get(t.Context(), "/html", nil, &out)
	var retry *httpapi.RetryError
	if !errors.As(err, &retry) {
		t.Errorf("html: %v, want a RetryError", err)
	}
}

func TestABrokenConnectionIsTransientAndACancelledCallSaysSo(t *testing.T) {
	srv := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"half`)
		}
		if r.URL.Path == "/hang" {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	soon, cancelSoon := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancelSoon()
	closed := httptest.NewServer(nil)
	closed.Close()
	for _, tc := range []struct {
		name, base, path string
		ctx              context.Context
		is               error
	}{
		{"connection closed before the answer", srv.URL, "/drop", t.Context(), nil},
		{"connection closed inside the answer", srv.URL, "/half", t.Context(), nil},
		{"connection refused", closed.URL, "/x", t.Context(), nil},
		{"cancelled", srv.URL, "/hang", cancelled, context.Canceled},
		{"timed out", srv.URL, "/hang", soon, context.DeadlineExceeded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out any
			_, err := client(tc.base).Get(tc.ctx, tc.path, nil, &out)
			var retry *httpapi.RetryError
			if !errors.As(err, &retry) {
				t.Fatalf("error = %v, want a RetryError", err)
			}
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("error %v is not %v", err, tc.is)
			}
			if _, permanent := fault.Reason(err); permanent || strings.Contains(err.Error(), "http://") {
				t.Errorf("permanent, or with a URL: %v", err)
			}
		})
	}
}
