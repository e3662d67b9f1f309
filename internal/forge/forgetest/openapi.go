package forgetest

import (
	"bytes"
	"context"
	_ "embed" // for the description
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Fetch the package as openapi/README.md says, then:
// To make it again: npm pack @octokit/openapi@23.0.2, then
// go run ./prune -package octokit-openapi-23.0.2.tgz -out openapi/github.json

//go:embed openapi/github.json
var description []byte

// spec is GitHub's own description of the calls that we answer.
type spec struct{ doc *openapi3.T }

func loadSpec() (*spec, error) {
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		return nil, fmt.Errorf("load GitHub's description: %w", err)
	}
	return &spec{doc}, nil
}

// call is one request that fits the description.
type call struct {
	input  *openapi3filter.RequestValidationInput
	params map[string]string
	body   []byte
}

func (c *call) operation() string { return c.input.Route.Operation.OperationID }

// match finds the operation for the escaped segments of a path. Each segment is decoded once, after the
// split, so an escaped slash or dot is never more than a character of a name.
func (s *spec) match(r *http.Request, segments []string) (*call, error) {
	for path, item := range s.doc.Paths.Map() {
		params, ok := bind(strings.Split(strings.TrimPrefix(path, "/"), "/"), segments)
		op := item.GetOperation(r.Method)
		if !ok || op == nil {
			continue
		}
		route := &routers.Route{Spec: s.doc, Path: path, PathItem: item, Method: r.Method, Operation: op}
		return &call{params: params, input: &openapi3filter.RequestValidationInput{
			Request: r, PathParams: params, Route: route,
			Options: &openapi3filter.Options{SkipSettingDefaults: true, RejectWhenRequestBodyNotSpecified: true},
		}}, nil
	}
	return nil, fmt.Errorf("the description (as pruned) has no such call")
}

func bind(template, segments []string) (map[string]string, bool) {
	if len(template) != len(segments) {
		return nil, false
	}
	params := map[string]string{}
	for i, t := range template {
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" {
			return nil, false
		}
		if strings.HasPrefix(t, "{") {
			params[strings.Trim(t, "{}")] = value
		} else if t != value {
			return nil, false
		}
	}
	return params, true
}

// checkRequest validates parameters and body, and refuses what the description does not know.
func (c *call) checkRequest(ctx context.Context) error {
	r := c.input.Request
	known := map[string]bool{}
	for _, p := range c.input.Route.Operation.Parameters {
		known[p.Value.In+" "+p.Value.Name] = true
	}
	for name := range r.URL.Query() {
		if !known["query "+name] {
			return fmt.Errorf("unknown query parameter %q", name)
		}
	}
	if err := openapi3filter.ValidateRequest(ctx, c.input); err != nil {
		return err
	}
	body, err := io.ReadAll(r.Body)
	c.body = body
	if err != nil || len(body) == 0 {
		return err
	}
	return c.checkFields()
}

func (c *call) checkFields() error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(c.body, &fields); err != nil {
		return err
	}
	schema := c.input.Route.Operation.RequestBody.Value.Content.Get("application/json").Schema.Value
	for name := range fields {
		inOne := func(one *openapi3.SchemaRef) bool { return one.Value.Properties[name] != nil }
		if schema.Properties[name] == nil && !slices.ContainsFunc(schema.OneOf, inOne) {
			return fmt.Errorf("unknown field %q in the body", name)
		}
	}
	return nil
}

// checkResponse validates an answer. A status that the description leaves out is allowed: GitHub answers 401,
// 404 and rate limits everywhere without describing them.
func (c *call) checkResponse(ctx context.Context, status int, h http.Header, body []byte) error {
	in := &openapi3filter.ResponseValidationInput{RequestValidationInput: c.input, Status: status, Header: h}
	in.SetBodyBytes(body)
	return openapi3filter.ValidateResponse(ctx, in)
}

// fill completes value with every field that the description requires of an answer with this status.
func (c *call) fill(status int, value any) (any, error) {
	resp := c.input.Route.Operation.Responses.Status(status)
	if resp == nil || resp.Value == nil {
		return value, nil
	}
	media := resp.Value.Content.Get("application/json")
	if media == nil {
		return value, nil
	}
	// One round through JSON gives plain maps and lists, whatever the handler built.
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var plain any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&plain); err != nil {
		return nil, errors.Join(errors.New("an answer that is not JSON"), err)
	}
	return complete(media.Schema.Value, plain, true), nil
}

// complete returns value with required fields added; given says whether the handler set it at all.
func complete(schema *openapi3.Schema, value any, given bool) any {
	if given {
		switch v := value.(type) {
		case map[string]any:
			completeObject(schema, v)
		case []any:
			for i := range v {
				v[i] = complete(schema.Items.Value, v[i], true)
			}
		}
		return value
	}
	switch {
	case schema.Nullable:
		return nil
	case len(schema.Enum) > 0:
		return schema.Enum[0]
	case len(schema.OneOf) > 0:
		return complete(schema.OneOf[0].Value, nil, false)
	case len(schema.AnyOf) > 0:
		return complete(schema.AnyOf[0].Value, nil, false)
	case schema.Type.Is("string"):
		return exampleString(schema.Format)
	case schema.Type.Is("integer"), schema.Type.Is("number"):
		return 0
	case schema.Type.Is("boolean"):
		return false
	case schema.Type.Is("array"):
		return []any{}
	}
	object := map[string]any{}
	completeObject(schema, object)
	return object
}

func completeObject(schema *openapi3.Schema, object map[string]any) {
	for _, part := range schema.AllOf {
		completeObject(part.Value, object)
	}
	for name, property := range schema.Properties {
		if value, ok := object[name]; ok {
			object[name] = complete(property.Value, value, true)
		}
	}
	for _, name := range schema.Required {
		if _, ok := object[name]; !ok && schema.Properties[name] != nil {
			object[name] = complete(schema.Properties[name].Value, nil, false)
		}
	}
}

func exampleString(format string) string {
	switch format {
	case "date-time":
		return "2020-01-01T00:00:00Z"
	case "uri":
		return "https://forge.invalid/"
	case "email":
		return "nobody@forge.invalid"
	}
	return ""
}
