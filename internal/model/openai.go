package model

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// openAI speaks chat completions (platform.openai.com, "Create chat completion"), as many local servers do too. What
// one of them doesn't know is left out from then on.
type openAI struct {
	mu      sync.Mutex
	without map[string]bool
}

func newOpenAI() *openAI { return &openAI{without: map[string]bool{}} }

type openAIMessage struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

func (o *openAI) encode(r Request) (string, []byte, error) {
	messages := []openAIMessage{{"system", r.System}}
	for _, m := range r.Messages {
		messages = append(messages, openAIMessage{m.Role, m.Text})
	}
	body := map[string]any{
		"model": r.Model, "messages": messages, "stream": false, "temperature": 0, "seed": r.Seed, "max_tokens": r.MaxTokens,
		"response_format": map[string]any{
			"type":        "json_schema",
			"json_schema": map[string]any{"name": toolName, "schema": r.Schema, "strict": closed(r.Schema)},
		},
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(body, func(name string, _ any) bool { return o.without[name] })
	if o.without["max_tokens"] {
		// Newer models of OpenAI's take this instead, and refuse the other.
		body["max_completion_tokens"] = r.MaxTokens
	}
	raw, err := json.Marshal(body)
	return "/chat/completions", raw, err
}

// adapt leaves out what a 400 or 422 names. The answer is held to the schema in any case.
func (o *openAI) adapt(refused *statusError) bool {
	if refused.status != http.StatusBadRequest && refused.status != http.StatusUnprocessableEntity {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, name := range []string{"response_format", "seed", "temperature", "max_tokens"} {
		named := refused.param == name || strings.HasPrefix(refused.param, name+".") || strings.Contains(refused.message, name) ||
			name == "response_format" && strings.Contains(refused.message, "json_schema")
		if named && !o.without[name] {
			o.without[name] = true
			return true
		}
	}
	return false
}

func (o *openAI) authorize(h http.Header, key string) { h.Set("Authorization", "Bearer "+key) }

func (o *openAI) decode(body []byte) (Answer, error) {
	var got struct {
		Model   string `json:"model"`
		Choices []struct {
			Message struct {
				Content *string `json:"content"`
				Refusal *string `json:"refusal"`
			} `json:"message"`
			FinishReason string `json:"finish_reason"`
		} `json:"choices"`
		Usage *struct {
			Input  int64 `json:"prompt_tokens"`
			Output int64 `json:"completion_tokens"`
		} `json:"usage"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		return Answer{}, &passingError{message: fmt.Sprintf("the model's answer is not the JSON of chat completions: %v", err)}
	}
	if len(got.Choices) == 0 {
		return Answer{}, &passingError{message: "the model's answer has no choices"}
	}
	choice := got.Choices[0]
	a := Answer{Stop: StopEnd, Model: clip(visible(got.Model), 200)}
	if choice.Message.Content != nil {
		a.Text = *choice.Message.Content
	}
	switch {
	case choice.Message.Refusal != nil && *choice.Message.Refusal != "":
		a.Stop, a.Text = StopRefused, *choice.Message.Refusal
	case choice.FinishReason == "content_filter":
		a.Stop = StopRefused
	case choice.FinishReason == "length":
		a.Stop = StopTruncated
	}
	if u := got.Usage; u != nil {
		a.Usage = Usage{Input: u.Input, Output: u.Output, Known: true}
	}
	return a, nil
}

// closed says whether a schema may be enforced strictly: every object names all of its properties as required and
// allows no others. Otherwise the API refuses it.
func closed(schema json.RawMessage) bool {
	var s any
	if json.Unmarshal(schema, &s) != nil {
		return false
	}
	return closedAt(s)
}

func closedAt(node any) bool {
	switch n := node.(type) {
	case []any:
		return !slices.ContainsFunc(n, func(v any) bool { return !closedAt(v) })
	case map[string]any:
		if n["type"] == "object" {
			properties, _ := n["properties"].(map[string]any)
			required, _ := n["required"].([]any)
			if n["additionalProperties"] != false || len(required) != len(properties) {
				return false
			}
		}
		for _, v := range n {
			if !closedAt(v) {
				return false
			}
		}
	}
	return true
}
