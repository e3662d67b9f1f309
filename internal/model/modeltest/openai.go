package modeltest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
)

// openAI follows CreateChatCompletionRequest and CreateChatCompletionResponse of OpenAI's published description, as far
// as the client may use them.
type openAI struct{}

func (openAI) path() string { return "/chat/completions" }

func (openAI) authorized(h http.Header, key string) bool {
	return key == "" && h.Get("Authorization") == "" || key != "" && h.Get("Authorization") == "Bearer "+key
}

var schemaName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

func (openAI) check(body []byte) (r Request, param, why string) {
	var in struct {
		Model    string `json:"model"`
		Messages []struct {
			Role    string  `json:"role"`
			Content *string `json:"content"`
		} `json:"messages"`
		Stream              bool     `json:"stream"`
		Temperature         *float64 `json:"temperature"`
		Seed                *int64   `json:"seed"`
		MaxTokens           *int     `json:"max_tokens"`
		MaxCompletionTokens *int     `json:"max_completion_tokens"`
		ResponseFormat      *struct {
			Type       string `json:"type"`
			JSONSchema *struct {
				Name   string          `json:"name"`
				Schema json.RawMessage `json:"schema"`
				Strict bool            `json:"strict"`
			} `json:"json_schema"`
		} `json:"response_format"`
	}
	if err := decode(body, &in); err != nil {
		return r, "body", err.Error()
	}
	switch {
	case in.Model == "":
		return r, "model", "you must provide a model parameter"
	case len(in.Messages) < 2 || in.Messages[0].Role != "system":
		return r, "messages", "too few, or no system message first"
	case in.Stream:
		return r, "stream", "this double does not stream"
	case in.Temperature != nil && *in.Temperature != 0:
		return r, "temperature", "the client promises 0"
	case in.MaxTokens != nil && *in.MaxTokens < 1 || in.MaxTokens != nil && in.MaxCompletionTokens != nil:
		return r, "max_tokens", "below 1, or both"
	case in.MaxTokens == nil && in.MaxCompletionTokens == nil:
		return r, "max_tokens", "the client promises a bound"
	}
	for i, m := range in.Messages {
		if m.Content == nil || m.Role != "system" && m.Role != "user" && m.Role != "assistant" || (m.Role == "system") != (i == 0) {
			return r, "messages", "a bad message of role " + m.Role
		}
		if i > 0 {
			r.Turns = append(r.Turns, *m.Content)
		}
	}
	r.System = *in.Messages[0].Content
	if f := in.ResponseFormat; f != nil {
		if f.Type != "json_schema" || f.JSONSchema == nil || !schemaName.MatchString(f.JSONSchema.Name) || !isSchema(f.JSONSchema.Schema) {
			return r, "response_format", "not a json_schema with a name and an object schema"
		}
		if f.JSONSchema.Strict && !strictly(f.JSONSchema.Schema) {
			return r, "response_format", "Invalid schema for response_format: 'required' is required to be supplied and to be an array including every key in properties"
		}
	}
	return r, "", ""
}

func (openAI) answer(r Reply) any {
	finish, message := "stop", map[string]any{"role": "assistant", "content": r.Text, "refusal": nil}
	switch {
	case r.Refused:
		message = map[string]any{"role": "assistant", "content": nil, "refusal": r.Text}
	case r.Truncated:
		finish = "length"
	}
	out := map[string]any{
		"id": "chatcmpl-1", "object": "chat.completion", "created": 1741569952, "model": "double-2026-01-01",
		"choices": []any{map[string]any{"index": 0, "message": message, "logprobs": nil, "finish_reason": finish}},
	}
	if !r.NoUsage {
		out["usage"] = map[string]any{"prompt_tokens": InputTokens, "completion_tokens": OutputTokens, "total_tokens": InputTokens + OutputTokens}
	}
	return out
}

func (openAI) failure(status int, code, param, message string) any {
	kind := "invalid_request_error"
	if status >= 500 {
		kind = "server_error"
	}
	e := map[string]any{"message": message, "type": kind, "param": nil, "code": nil}
	if param != "" {
		e["param"] = param
	}
	if code != "" {
		e["code"] = code
	}
	return map[string]any{"error": e}
}

func isSchema(raw json.RawMessage) bool {
	var s struct {
		Type string `json:"type"`
	}
	return json.Unmarshal(raw, &s) == nil && s.Type == "object"
}

// strictly says whether a schema is what strict mode asks for: every object, at any depth, allows no other properties
// and requires all of its own.
func strictly(raw json.RawMessage) bool {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		return !slices.ContainsFunc(list, func(r json.RawMessage) bool { return !strictly(r) })
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return true // a word or a number
	}
	if string(fields["type"]) == `"object"` {
		var properties map[string]json.RawMessage
		var required []string
		_, _ = json.Unmarshal(fields["properties"], &properties), json.Unmarshal(fields["required"], &required) // none is none
		if string(fields["additionalProperties"]) != "false" || len(required) != len(properties) {
			return false
		}
	}
	for _, v := range fields {
		if !strictly(v) {
			return false
		}
	}
	return true
}
