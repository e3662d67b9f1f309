package scan_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/scan"
)

// The scanners themselves can't be installed here: a small program of their names stands in. It prints what the tree's
// file "report" holds, as the true one would about the tree.
func standIn(t *testing.T, name, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\nfor tree; do :; done\ntree=${tree#dir:}\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func treeOf(t *testing.T, report string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "report"), []byte(report), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

const printReport = `cat "$tree/report"`

func TestOnlyWhatThePatchAddsCountsForAScanner(t *testing.T) {
	for name, tt := range map[string]struct {
		script, before, after string
		want                  []scan.Issue
	}{
		"osv-scanner": {
			printReport + "\nexit 1",
			`{"results":[{"packages":[{"package":{"name":"a","version":"1","ecosystem":"npm"},"vulnerabilities":[{"id":"GHSA-old"}]}]}]}`,
			`{"results":[{"packages":[{"package":{"name":"a","version":"2","ecosystem":"npm"},"vulnerabilities":[{"id":"GHSA-old"},{"id":"GHSA-new"}]}]}]}`,
			[]scan.Issue{{Scanner: "osv-scanner", ID: "GHSA-new", Package: "npm:a"}},
		},
		"trivy": {
			printReport,
			`{"Results":[{"Target":"go.mod","Vulnerabilities":[{"VulnerabilityID":"CVE-1","PkgName":"a"}]}]}`,
			`{"Results":[{"Target":"go.mod","Vulnerabilities":[{"VulnerabilityID":"CVE-1","PkgName":"a"},{"VulnerabilityID":"CVE-1","PkgName":"b"}],"Secrets":[{"RuleID":"aws"}]}]}`,
			[]scan.Issue{{Scanner: "trivy", ID: "CVE-1", Package: "b"}, {Scanner: "trivy", ID: "aws", Package: "go.mod"}},
		},
		"syft": {
			printReport, `{"artifacts":[{"name":"a","version":"1","type":"npm"}]}`, `{"artifacts":[{"name":"a","version":"2","type":"npm"},{"name":"b","version":"","type":"npm"}]}`,
			[]scan.Issue{{Scanner: "syft", ID: "no-version", Package: "npm:b"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := scan.NewPrograms([]string{standIn(t, name, tt.script)}, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Compare(t.Context(), treeOf(t, tt.before), treeOf(t, tt.after))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if same, err := p.Compare(t.Context(), treeOf(t, tt.after), treeOf(t, tt.after)); err != nil || len(same) != 0 {
				t.Errorf("what was there before counts: %v, %v", same, err)
			}
		})
	}
}

func TestAScannerThatFailsIsNoCleanResult(t *testing.T) {
	t.Setenv("SRE_AGENT_SECRET", "canary")
	for name, tt := range map[string]struct {
		script  string
		timeout time.Duration
		fails   bool
	}{
		"it crashes":                      {"exit 3", time.Minute, true},
		"it says nothing":                 {"exit 0", time.Minute, true},
		"it says no JSON":                 {"echo oops", time.Minute, true},
		"it hangs, and so does its child": {"sleep 100 & wait", 300 * time.Millisecond, true},
		"it works":                        {"echo '{}'", time.Minute, false},
		"it sees a variable of ours":      {`test -z "$SRE_AGENT_SECRET" && test -z "$(ls | grep -v none)" && echo '{}'`, time.Minute, false},
	} {
		p, err := scan.NewPrograms([]string{standIn(t, "trivy", tt.script)}, tt.timeout)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if got, err := p.Compare(t.Context(), t.TempDir(), t.TempDir()); (err != nil) != tt.fails {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
	if _, err := scan.NewPrograms([]string{"/nowhere/trivy"}, time.Minute); err == nil {
		t.Error("a scanner that is not there was found")
	}
	if _, err := scan.NewPrograms([]string{"sh"}, time.Minute); err == nil {
		t.Error("any program is a scanner")
	}
}
