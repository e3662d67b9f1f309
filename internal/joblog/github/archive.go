package github

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
	"github.com/sre-agent/sre-agent/internal/joblog"
	"github.com/sre-agent/sre-agent/internal/joblog/unzip"
)

// archived reads a job's log from the archive of its run's attempt. Names in the archive are only compared.
func (s *Source) archived(ctx context.Context, f ci.Failure, job joblog.Job, limit int64) ([]byte, bool, error) {
	runID, attempt, _ := strings.Cut(job.Run, "/")
	path, err := httpapi.Path("repos", f.Repository.Owner, f.Repository.Name, "actions", "runs", runID, "attempts", attempt, "logs")
	if err != nil {
		return nil, false, err
	}
	ends, err := joblog.NewEnds(limit)
	if err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, joblog.Timeout)
	defer cancel()
	body, err := s.api.GetStream(ctx, path, nil, "application/zip")
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = body.Close() }()
	r := unzip.NewReader(body)
	for {
		name, content, err := r.Next()
		switch {
		case unzip.IsEnd(err):
			return nil, false, fault.Permf("not_found", "the log archive of run %s has no log of the job", runID)
		case err != nil:
			return nil, false, s.failed(path, err)
		case !isLogOf(name, job.Name):
			continue
		}
		if err := ends.Copy(s.api, "GET "+path, content); err != nil {
			return nil, false, s.failed(path, err)
		}
		text, truncated := ends.Text()
		return text, truncated, nil
	}
}

// failed keeps what the archive's reader found, and takes all else for a trouble of the connection.
func (s *Source) failed(path string, err error) error {
	if _, permanent := fault.Reason(err); permanent {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return s.api.TransportError("GET "+path, err)
}

// maxJobName is where the archive's names are cut, in UTF-16 code units (cli/cli, pkg/cmd/run/view/logs.go, which says
// what GitHub does to a job's name: no slash, no colon, at most 90 units, blanks trimmed).
const maxJobName = 90

var logName = regexp.MustCompile(`^-?[0-9]{1,20}_([^/]+)\.txt$`)

// isLogOf says whether an entry is the whole log of the job: "3_build.txt" at the top of the archive.
func isLogOf(entry, job string) bool {
	m := logName.FindStringSubmatch(entry)
	return m != nil && m[1] == entryName(job)
}

func entryName(job string) string {
	job = strings.NewReplacer("/", "", ":", "").Replace(job)
	if units := utf16.Encode([]rune(job)); len(units) > maxJobName {
		job = string(utf16.Decode(units[:maxJobName]))
	}
	return strings.TrimSpace(job)
}
