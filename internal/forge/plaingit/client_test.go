package plaingit_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/plaingit"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

type source struct{}

func (source) Patch(context.Context, string, string, string) (string, []byte, error) {
	return commit, []byte("From " + commit + " Mon Sep 17 00:00:00 2001\nSubject: x\n\n---\n"), nil
}

func (source) BranchHead(context.Context, string, string, string) (string, error) { return commit, nil }

func TestAPatchIsWrittenOnceAndAPersonsAnswerStays(t *testing.T) {
	c := plaingit.New(t.TempDir(), source{}, nil)
	fix := forge.NewPullRequest{Head: "sre-agent/fix\nSubject: forged", Base: "main"}
	pr, err := c.CreatePullRequest(t.Context(), "acme/x", "shop", fix)
	if err != nil || pr.State != forge.Open || pr.HeadSHA != commit || pr.HeadRef != fix.Head {
		t.Fatalf("written: %+v, %v", pr, err)
	}
	file := strings.TrimPrefix(pr.URL, "file://")
	file = strings.ReplaceAll(file, "%25", "%")
	if raw, err := os.ReadFile(file); err != nil || strings.Count(string(raw), "\nSubject:") != 1 {
		t.Errorf("%s has another header: %q, %v", file, raw, err)
	}
	for _, tc := range []struct {
		rename string
		merged bool
	}{{"", false}, {".closed", false}, {".applied", true}} {
		if tc.rename != "" {
			if err := os.Rename(file, strings.TrimSuffix(strings.TrimSuffix(file, ".closed"), ".applied")+tc.rename); err != nil {
				t.Fatal(err)
			}
			file = strings.TrimSuffix(file, ".closed") + tc.rename
		}
		if _, err := c.CreatePullRequest(t.Context(), "acme/x", "shop", fix); !errors.Is(err, forge.ErrExists) {
			t.Errorf("again, %q: %v, want ErrExists", tc.rename, err)
		}
		found, err := c.FindPullRequests(t.Context(), "acme/x", "shop", fix.Head)
		if err != nil || len(found) != 1 || found[0].Merged != tc.merged || (found[0].State == forge.Open) != (tc.rename == "") {
			t.Errorf("found %+v, %v after %q", found, err, tc.rename)
		}
	}
	if _, err := c.CreatePullRequest(t.Context(), "..", "shop", fix); err == nil {
		t.Error("a way out of the folder was taken")
	} else if reason, _ := fault.Reason(err); reason != "invalid_name" {
		t.Errorf("a way out of the folder: %v", err)
	}
}
