package bitbucket

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"

	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const maxErrorBody = 64 << 10

// flat brings Bitbucket's {"error": {"message", "fields"}} to the form that httpapi reads and cleans.
type flat struct{ next http.RoundTripper }

func (f flat) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := f.next.RoundTrip(r)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		flatten(resp)
	}
	return resp, err
}

func flatten(resp *http.Response) {
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	_ = resp.Body.Close()
	var body struct {
		Message string `json:"message"` // of what stands before Bitbucket
		Error   struct {
			Message string              `json:"message"`
			Fields  map[string][]string `json:"fields"`
		} `json:"error"`
	}
	_ = json.Unmarshal(raw, &body) // fields of another form, or no JSON: the message is what there is
	out := struct {
		Message string           `json:"message"`
		Errors  []httpapi.Detail `json:"errors"`
	}{Message: body.Message}
	if body.Error.Message != "" {
		out.Message = body.Error.Message
	}
	for field, texts := range body.Error.Fields {
		for _, text := range texts {
			out.Errors = append(out.Errors, httpapi.Detail{Field: field, Message: text})
		}
	}
	raw, _ = json.Marshal(out) // strings only
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
}
