package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Guard is one piece of the system that keeps a promise, and the test that misses it.
type Guard struct {
	Name string
	// Promise is the invariant that it keeps, I1 to I12.
	Promise string
	// What says what the guard does, for a reader.
	What string
	// Edits take the guard out.
	Edits []Edit
	// Pkg and Run are the tests that have to go red; Says is what one of them has to say then, so that it is red
	// because of the guard and not because the change broke something else.
	Pkg, Run, Says string
	// Hangs says that without the guard the test runs into its time limit.
	Hangs bool
	// Sim is the simulator's name for the same guard; empty where it has none.
	Sim string
}

// Edit replaces Old, which must be there exactly once, by New. In narrows the place down to one function or one
// statement: from the only line that begins with it to the next line that ends it.
type Edit struct{ File, In, Old, New string }

var errMoved = errors.New("the guard has moved: bring its entry up to date")

// apply makes the edit in the file's text.
func (e Edit) apply(text string) (string, error) {
	from, to := 0, len(text)
	if e.In != "" {
		marked := "\n" + e.In
		if n := strings.Count(text, marked); n != 1 {
			return "", fmt.Errorf("%s: %d lines begin with %q, want 1: %w", e.File, n, e.In, errMoved)
		}
		from = strings.Index(text, marked)
		for _, end := range []string{"\n}\n", "\n`\n", "\n);\n", "\n$$;\n"} {
			if n := strings.Index(text[from:to], end); n >= 0 {
				to = from + n + len(end)
			}
		}
	}
	region := text[from:to]
	if n := strings.Count(region, e.Old); n != 1 || e.Old == "" {
		return "", fmt.Errorf("%s: %q is there %d times, want 1: %w", e.File, e.Old, n, errMoved)
	}
	if e.Old == e.New {
		return "", fmt.Errorf("%s: %q is replaced by itself", e.File, e.Old)
	}
	return text[:from] + strings.Replace(region, e.Old, e.New, 1) + text[to:], nil
}

// overlay writes the changed copies of a guard's files below dir and returns the file that tells go of them.
func (g Guard) overlay(root, dir string) (string, error) {
	changed := map[string]string{}
	for _, e := range g.Edits {
		path := filepath.Join(root, e.File)
		text, ok := changed[path]
		if !ok {
			raw, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			text = string(raw)
		}
		text, err := e.apply(text)
		if err != nil {
			return "", err
		}
		changed[path] = text
	}
	replace := map[string]string{}
	for path, text := range changed {
		replace[path] = filepath.Join(dir, fmt.Sprintf("%d-%s", len(replace), filepath.Base(path)))
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, raw, 0o600)
}

// schema says whether the guard is in the database's schema: its tests need a server of their own, because the one
// that all share has a template made from the schema as it is on disk.
func (g Guard) schema() bool {
	for _, e := range g.Edits {
		if strings.HasPrefix(e.File, "migrations/") {
			return true
		}
	}
	return false
}
