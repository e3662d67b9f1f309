// Package build makes bodies of made-up deliveries from examples. No service imports it.
package build

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest"
)

// Body returns an example with some fields, named by their path with slashes, set to other values, and filled up to
// size with text in the field filler. It panics for an example that lacks an object on the way to a field.
func Body(example []byte, fields map[string]any, filler string, size int) []byte {
	var root map[string]any
	dec := json.NewDecoder(bytes.NewReader(example))
	dec.UseNumber()
	must(dec.Decode(&root))
	for path, value := range fields {
		set(root, path, value)
	}
	body, err := json.Marshal(root)
	must(err)
	if size > len(body) {
		// A line end takes two bytes in JSON.
		text := webhooktest.Filler(size - len(body))
		set(root, filler, text[:len(text)-strings.Count(text, "\n")])
		body, err = json.Marshal(root)
		must(err)
	}
	return body
}

func set(root map[string]any, path string, value any) {
	keys := strings.Split(path, "/")
	at := root
	for _, key := range keys[:len(keys)-1] {
		next, ok := at[key].(map[string]any)
		if !ok {
			panic("build: the example has no object " + key + " of " + path)
		}
		at = next
	}
	at[keys[len(keys)-1]] = value
}

// Post returns a request with a JSON body and some headers, given as names and values in turn.
func Post(url string, body []byte, headers ...string) *http.Request {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(body))
	must(err)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func must(err error) {
	if err != nil {
		panic("build: " + err.Error())
	}
}
