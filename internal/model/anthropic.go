package model

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

const (
	// toolName is what the answer is called: a tool of Anthropic's API, a schema of OpenAI's.
	toolName = "fix_plan"
	// anthropicVersion is the API's version (docs.anthropic.com, "Versioning").
	anthropicVersion = "2023-06-01"
)

// anthropic speaks messages (docs.anthropic.com, "Create a message"). The plan is the input of a tool that the model has
// to use; the API has no seed.
type anthropic struct {
	mu      sync.Mutex
	without map[string]bool
}

func newAnthropic() *anthropic { return &anthropic{without: map[string]bool{}} }

func (a *anthropic) encode(r Request) (string, []byte, error) {
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	var messages []message
	for _, m := range r.Messages {
		messages = append(messages, message{m.Role, m.Text})
	}
	body := map[string]any{
		"model": r.Model, "system": r.System, "messages": messages, "max_tokens": r.MaxTokens, "temperature": 0,
		"tools": []any{map[string]any{
			"name": toolName, "description": "Hand in the plan. This is the only way to answer.", "input_schema": r.Schema,
		}},
		"tool_choice": map[string]any{"type": "tool", "name": toolName},
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for name := range a.without {
		delete(body, name)
	}
	raw, err := json.Marshal(body)
	return "/messages", raw, err
}

// adapt leaves out what a 400 names: servers of this kind may lack one of these.
func (a *anthropic) adapt(refused *statusError) bool {
	if refused.status != http.StatusBadRequest {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range []string{"temperature", "tool_choice"} {
		if strings.Contains(refused.message, name) && !a.without[name] {
			a.without[name] = true
			return true
		}
	}
	return false
}

func (a *anthropic) authorize(h http.Header, key string) {
	h.Set("X-Api-Key", key)
	h.Set("Anthropic-Version", anthropicVersion)
}

func (a *anthropic) decode(body []byte) (Answer, error) {
	var got struct {
		Type    string `json:"type"`
		Model   string `json:"model"`
		Content []struct {
			Type  string          `json:"type"`
			Text  string          `json:"text"`
			Name  string          `json:"name"`
			Input json.RawMessage `json:"input"`
		} `json:"content"`
		StopReason string `json:"stop_reason"`
		Usage      *struct {
			Input   int64 `json:"input_tokens"`
			Output  int64 `json:"output_tokens"`
			Written int64 `json:"cache_creation_input_tokens"`
			Read    int64 `json:"cache_read_input_tokens"`
		} `json:"usage"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		return Answer{}, &passingError{message: fmt.Sprintf("the model's answer is not the JSON of a message: %v", err)}
	}
	if got.Type != "message" {
		return Answer{}, &passingError{message: fmt.Sprintf("the model's answer is of type %q, not a message", clip(visible(got.Type), 50))}
	}
	out := Answer{Stop: StopEnd, Model: clip(visible(got.Model), 200)}
	var text strings.Builder
	for _, c := range got.Content {
		switch {
		case c.Type == "tool_use" && c.Name == toolName && out.Text == "":
			out.Text = string(c.Input)
		case c.Type == "text":
			text.WriteString(c.Text)
		}
	}
	if out.Text == "" {
		out.Text = text.String()
	}
	switch got.StopReason {
	case "refusal":
		out.Stop = StopRefused
	case "max_tokens", "model_context_window_exceeded":
		out.Stop = StopTruncated
	}
	if u := got.Usage; u != nil {
		out.Usage = Usage{Input: u.Input + u.Written + u.Read, Output: u.Output, Known: true}
	}
	return out, nil
}
