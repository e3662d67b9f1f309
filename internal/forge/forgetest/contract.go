package forgetest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"
)

// Contract is a forge's own description, for the doubles of other forges.
type Contract struct{ spec *spec }

// NewContract reads an OpenAPI 3 description.
func NewContract(description []byte) (*Contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		return nil, fmt.Errorf("load a forge's description: %w", err)
	}
	return &Contract{&spec{doc}}, nil
}

// Exchange is a request that fits the contract, and its answer to be.
type Exchange struct{ call *call }

// Match finds the operation for the escaped segments of a path, and checks parameters and body.
func (c *Contract) Match(r *http.Request, segments []string) (*Exchange, error) {
	call, err := c.spec.match(r, segments)
	if err != nil {
		return nil, err
	}
	return &Exchange{call}, call.checkRequest(r.Context())
}

// Operation is the id that the contract gives to what is asked.
func (e *Exchange) Operation() string { return e.call.operation() }

// Param is a parameter of the path.
func (e *Exchange) Param(name string) string { return e.call.params[name] }

// Body is the request's body.
func (e *Exchange) Body() []byte { return e.call.body }

// Answer writes a value as JSON, with the fields that the contract requires, and checks that it fits: a field that the
// contract does not know is an error as well.
func (e *Exchange) Answer(ctx context.Context, status int, header http.Header, value any) ([]byte, error) {
	full, err := e.call.fill(status, value)
	if err != nil {
		return nil, err
	}
	if schema := e.schema(status); schema != nil {
		if err := known(schema, full, "the answer"); err != nil {
			return nil, err
		}
	}
	raw, err := json.Marshal(full)
	if err != nil {
		return nil, err
	}
	return raw, e.call.checkResponse(ctx, status, header, raw)
}

func (e *Exchange) schema(status int) *openapi3.Schema {
	resp := e.call.input.Route.Operation.Responses.Status(status)
	if resp == nil || resp.Value == nil || resp.Value.Content.Get("application/json") == nil {
		return nil
	}
	return resp.Value.Content.Get("application/json").Schema.Value
}

func known(schema *openapi3.Schema, value any, where string) error {
	switch v := value.(type) {
	case map[string]any:
		for name, field := range v {
			property := schema.Properties[name]
			if property == nil {
				property = schema.AdditionalProperties.Schema
			}
			if property == nil {
				return fmt.Errorf("%s has an unknown field %q", where, name)
			}
			if err := known(property.Value, field, where+"."+name); err != nil {
				return err
			}
		}
	case []any:
		for _, item := range v {
			if err := known(schema.Items.Value, item, where+"[]"); err != nil {
				return err
			}
		}
	}
	return nil
}
