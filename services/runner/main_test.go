package runner

import (
	"os"
	"testing"

	"github.com/sre-agent/sre-agent/internal/sandbox"
)

// TestMain lets this program be the end of the proxy that is inside of a sandbox.
func TestMain(m *testing.M) {
	sandbox.Inside()
	os.Exit(m.Run())
}
