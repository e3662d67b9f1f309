package host

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
)

// Reply is an answer of an API before it is checked.
type Reply struct {
	Status int
	Header http.Header
	Body   any
}

// Exchange answers a request to the escaped path below the API's root. Request and answer are held to the API's
// description; what does not fit is answered 500 and kept in Violations.
func (h *Host) Exchange(w http.ResponseWriter, r *http.Request, path string, answer func(*forgetest.Exchange, *http.Request) Reply) {
	e, err := h.contract.Match(r, strings.Split(path, "/"))
	if err != nil {
		http.Error(w, h.Violation("request %s %s: %v", r.Method, r.URL.EscapedPath(), err), http.StatusInternalServerError)
		return
	}
	out := answer(e, r)
	if out.Header == nil {
		out.Header = http.Header{}
	}
	out.Header.Set("Content-Type", "application/json; charset=utf-8")
	raw, err := e.Answer(r.Context(), out.Status, out.Header, out.Body)
	if err != nil {
		http.Error(w, h.Violation("answer %d to %s %s: %v", out.Status, r.Method, r.URL.EscapedPath(), err), http.StatusInternalServerError)
		return
	}
	maps.Copy(w.Header(), out.Header)
	w.WriteHeader(out.Status)
	_, _ = w.Write(raw) //nolint:gosec // JSON that fits the description
}

// Number reads a number of the path or the query.
func Number(text string, otherwise int) int {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return otherwise
}

// Read decodes a body that the contract has checked.
func Read[T any](e *forgetest.Exchange) (in T) {
	_ = json.Unmarshal(e.Body(), &in)
	return in
}
