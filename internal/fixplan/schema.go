package fixplan

import (
	_ "embed"
	"encoding/json"
	"slices"
)

//go:embed schema.json
var schema []byte

// Schema is the JSON schema of a plan, for a model. Parse is stricter.
func Schema() json.RawMessage { return slices.Clone(schema) }
