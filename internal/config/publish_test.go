package config_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/config"
)

func TestAForkNeedsAnOwner(t *testing.T) {
	environ := map[string]string{
		"NATS_URL": "nats://127.0.0.1:1", "DATABASE_URL": "postgres://127.0.0.1:1/x", "GITHUB_WRITE_TOKEN": "x", "PUBLISH_VIA": "fork",
	}
	if _, err := config.Load(config.Publisher, environ); err == nil || !strings.Contains(err.Error(), "PUBLISH_FORK_OWNER is not set") {
		t.Errorf("without: %v", err)
	}
	environ["PUBLISH_FORK_OWNER"] = "robots"
	plain := map[string]string{"PLAIN_GIT_URL": "https://git.example.com", "PLAIN_GIT_WRITE_TOKEN": "x", "PLAIN_GIT_PATCH_DIR": "/var/lib/patches"}
	maps.Copy(plain, environ)
	if _, err := config.Load(config.Publisher, plain); err == nil || !strings.Contains(err.Error(), "a git server that is no forge has no forks") {
		t.Errorf("with a git server that is no forge: %v", err)
	}
	if c, err := config.Load(config.Publisher, environ); err != nil || c.PublishForkOwner != "robots" {
		t.Errorf("with: %v", err)
	}
}
