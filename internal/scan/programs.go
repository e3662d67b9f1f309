package scan

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ReasonVulnerable is the reason of a run that a scanner's new finding ends.
const ReasonVulnerable = "vulnerability_found"

// maxReport bounds a scanner's report on one tree, in bytes.
const maxReport = 64 << 20

// Programs are scanners that are installed beside the agent. Each looks at the tree without the patch and with it, and
// only what it finds with the patch alone counts. They get no variable of the agent's but PATH and HOME, run in an
// empty folder so that no settings of the tree reach them, and are killed with all that they started.
type Programs struct {
	tools   []program
	timeout time.Duration
}

type program struct {
	tool
	path string
}

// tool is how a scanner is run and how its report is read.
type tool struct {
	name string
	args func(tree, empty string) []string
	// codes are the exit codes of a scan that came to its end.
	codes []int
	read  func(report []byte) ([]Issue, error)
}

// Issue is what a scanner found. Where it stands in the tree, and in which version, makes no difference to what it is.
type Issue struct {
	Scanner string `json:"scanner"`
	ID      string `json:"id"`
	Package string `json:"package,omitempty"`
}

func tools() []tool {
	return []tool{
		{"osv-scanner", func(tree, empty string) []string {
			return []string{"scan", "source", "--recursive", "--format", "json", "--config", filepath.Join(empty, "none"), tree}
		}, []int{0, 1, 128}, readOSV},
		{"trivy", func(tree, empty string) []string {
			return []string{"filesystem", "--quiet", "--format", "json", "--exit-code", "0", "--scanners", "vuln,secret", "--ignorefile", filepath.Join(empty, "none"), tree}
		}, []int{0}, readTrivy},
		{"syft", func(tree, _ string) []string {
			return []string{"scan", "--quiet", "--output", "syft-json", "dir:" + tree}
		}, []int{0}, readSyft},
	}
}

// NewPrograms finds scanners by name or absolute path; one that is not there is an error.
func NewPrograms(names []string, timeout time.Duration) (*Programs, error) {
	p := &Programs{timeout: timeout}
	for _, name := range names {
		i := slices.IndexFunc(tools(), func(t tool) bool { return t.name == filepath.Base(name) })
		if i < 0 {
			return nil, fmt.Errorf("scan: %q is no scanner that is known", name)
		}
		path, err := exec.LookPath(name)
		if err != nil {
			return nil, fmt.Errorf("scan: %w", err)
		}
		p.tools = append(p.tools, program{tools()[i], path})
	}
	return p, nil
}

// Any says whether there are scanners to run. A nil Programs has none.
func (p *Programs) Any() bool { return p != nil && len(p.tools) > 0 }

// Compare returns what the scanners find in one tree and not in the other. An error is never a clean result.
func (p *Programs) Compare(ctx context.Context, before, after string) ([]Issue, error) {
	var out []Issue
	for _, tool := range p.tools {
		old, err := p.scan(ctx, tool, before)
		if err != nil {
			return nil, err
		}
		found, err := p.scan(ctx, tool, after)
		if err != nil {
			return nil, err
		}
		for _, issue := range found {
			if !slices.Contains(old, issue) && !slices.Contains(out, issue) {
				out = append(out, issue)
			}
		}
	}
	return out, nil
}

func (p *Programs) scan(ctx context.Context, tool program, tree string) ([]Issue, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	empty, err := os.MkdirTemp("", "scan-")
	if err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	defer func() { _ = os.RemoveAll(empty) }()
	none, err := os.Create(filepath.Join(empty, "none"))
	if err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	_ = none.Close() // nothing was written
	cmd := exec.CommandContext(ctx, tool.path, tool.args(tree, empty)...)
	cmd.Dir = empty
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")} // HOME has the vulnerability databases
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	report := &bounded{left: maxReport}
	cmd.Stdout = report
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("scan: %s did not end in time: %w", tool.name, ctx.Err())
	case err != nil && (!errors.As(err, &exit) || !slices.Contains(tool.codes, exit.ExitCode())):
		return nil, fmt.Errorf("scan: %s: %w", tool.name, err)
	case err == nil && !slices.Contains(tool.codes, 0):
		return nil, fmt.Errorf("scan: %s ended with 0", tool.name)
	}
	if len(bytes.TrimSpace(report.Bytes())) == 0 && exit != nil {
		return nil, nil // nothing to look at
	}
	issues, err := tool.read(report.Bytes())
	if err != nil {
		return nil, fmt.Errorf("scan: read the report of %s: %w", tool.name, err)
	}
	return issues, nil
}

// bounded takes so many bytes and then fails.
type bounded struct {
	bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("the report is too long")
	}
	return b.Buffer.Write(p)
}

func readOSV(report []byte) ([]Issue, error) {
	var r struct {
		Results []struct {
			Packages []struct {
				Package         struct{ Name, Ecosystem string }
				Vulnerabilities []struct{ ID string }
			}
		}
	}
	if err := json.Unmarshal(report, &r); err != nil {
		return nil, err
	}
	var out []Issue
	for _, result := range r.Results {
		for _, p := range result.Packages {
			for _, v := range p.Vulnerabilities {
				out = append(out, Issue{"osv-scanner", v.ID, p.Package.Ecosystem + ":" + p.Package.Name})
			}
		}
	}
	return out, nil
}

func readTrivy(report []byte) ([]Issue, error) {
	var r struct {
		Results []struct {
			Target          string
			Vulnerabilities []struct{ VulnerabilityID, PkgName string }
			Secrets         []struct{ RuleID string }
		}
	}
	if err := json.Unmarshal(report, &r); err != nil {
		return nil, err
	}
	var out []Issue
	for _, result := range r.Results {
		for _, v := range result.Vulnerabilities {
			out = append(out, Issue{"trivy", v.VulnerabilityID, v.PkgName})
		}
		for _, s := range result.Secrets {
			out = append(out, Issue{"trivy", s.RuleID, result.Target})
		}
	}
	return out, nil
}

// readSyft reads a list of what the tree holds. Of that, only a package whose origin nobody can tell is an issue: one
// without a version.
func readSyft(report []byte) ([]Issue, error) {
	var r struct {
		Artifacts []struct{ Name, Version, Type string }
	}
	if err := json.Unmarshal(report, &r); err != nil {
		return nil, err
	}
	var out []Issue
	for _, a := range r.Artifacts {
		if strings.TrimSpace(a.Version) == "" || strings.EqualFold(a.Version, "unknown") {
			out = append(out, Issue{"syft", "no-version", a.Type + ":" + a.Name})
		}
	}
	return out, nil
}
