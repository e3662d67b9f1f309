package manifests_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnitsAreWhatSystemdKnows runs systemd-analyze, which make tools installs; the machine need not run systemd.
func TestUnitsAreWhatSystemdKnows(t *testing.T) {
	files, err := filepath.Glob(deploy + "systemd/*.service")
	if err != nil || len(files) != 4 {
		t.Fatalf("%v, %v", files, err)
	}
	dir := t.TempDir()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// The programs are not installed here.
		text = bytes.ReplaceAll(text, []byte("ExecStart=/usr/local/bin/"), []byte("ExecStart=/bin/true "))
		copied := filepath.Join(dir, filepath.Base(file))
		if err := os.WriteFile(copied, text, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", copied).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			// Newer than Debian 12's systemd, which passes over it.
			if !strings.Contains(line, "'DelegateSubgroup'") {
				t.Errorf("%s: %s", filepath.Base(file), line)
			}
		}
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
	}
}
