package modeltest

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// anthropic follows "Create a message" of Anthropic's published reference, as far as the client may use it.
type anthropic struct{}

func (anthropic) path() string { return "/messages" }

func (anthropic) authorized(h http.Header, key string) bool {
	return h.Get("X-Api-Key") == key && h.Get("Authorization") == "" && (key == "" || h.Get("Anthropic-Version") == "2023-06-01")
}

func (anthropic) check(body []byte) (r Request, param, why string) {
	var in struct {
		Model    string `json:"model"`
		System   string `json:"system"`
		Messages []struct {
			Role    string `json:"role"`
			Content string `json:"content"`
		} `json:"messages"`
		MaxTokens   int      `json:"max_tokens"`
		Temperature *float64 `json:"temperature"`
		Tools       []struct {
			Name        string          `json:"name"`
			Description string          `json:"description"`
			InputSchema json.RawMessage `json:"input_schema"`
		} `json:"tools"`
		ToolChoice *struct {
			Type string `json:"type"`
			Name string `json:"name"`
		} `json:"tool_choice"`
	}
	if err := decode(body, &in); err != nil {
		return r, "body", err.Error()
	}
	switch {
	case in.Model == "" || in.MaxTokens < 1:
		return r, "max_tokens", "Field required"
	case len(in.Messages) == 0:
		return r, "messages", "at least one message is required"
	case in.Temperature != nil && *in.Temperature != 0:
		return r, "temperature", "the client promises 0"
	case len(in.Tools) != 1 || !schemaName.MatchString(in.Tools[0].Name) || !isSchema(in.Tools[0].InputSchema):
		return r, "tools", "not one tool with a name and an object schema"
	case in.ToolChoice != nil && (in.ToolChoice.Type != "tool" || in.ToolChoice.Name != in.Tools[0].Name):
		return r, "tool_choice", fmt.Sprintf("Tool '%s' not found in provided tools", in.ToolChoice.Name)
	}
	for i, m := range in.Messages {
		if want := []string{"user", "assistant"}[i%2]; m.Role != want {
			return r, "messages", "roles must alternate between \"user\" and \"assistant\""
		}
		if m.Content == "" {
			return r, "messages", fmt.Sprintf("messages.%d: all messages must have non-empty content", i)
		}
		r.Turns = append(r.Turns, m.Content)
	}
	r.System = in.System
	return r, "", ""
}

// answer uses the tool when the text is a JSON object, as a model that is told to does.
func (anthropic) answer(r Reply) any {
	stop, content := "end_turn", []any{map[string]any{"type": "text", "text": r.Text}}
	var object map[string]any
	switch {
	case r.Refused:
		stop = "refusal"
	case r.Truncated:
		stop = "max_tokens"
	case json.Unmarshal([]byte(r.Text), &object) == nil:
		stop, content = "tool_use", []any{map[string]any{"type": "tool_use", "id": "toolu_1", "name": "fix_plan", "input": json.RawMessage(r.Text)}}
	}
	out := map[string]any{
		"id": "msg_1", "type": "message", "role": "assistant", "model": "double-2026-01-01",
		"content": content, "stop_reason": stop, "stop_sequence": nil,
	}
	if !r.NoUsage {
		out["usage"] = map[string]any{"input_tokens": InputTokens, "output_tokens": OutputTokens, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
	}
	return out
}

func (anthropic) failure(status int, code, _, message string) any {
	kind := map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
		413: "request_too_large", 429: "rate_limit_error", 529: "overloaded_error",
	}[status]
	if kind == "" {
		kind = "api_error"
	}
	if code == "insufficient_quota" {
		kind = "billing_error"
	}
	return map[string]any{"type": "error", "error": map[string]any{"type": kind, "message": message}, "request_id": "req_1"}
}
