package gitrepo

import (
	"errors"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// Validate refuses a remote that is not plain http or https; its URL may come from a webhook.
func (r Remote) Validate() error {
	if err := checkURL(r.URL); err != nil {
		return fault.Permf("bad_repository_url", "repository URL: %w", err)
	}
	for _, secret := range []string{r.Username, r.Token} {
		if strings.ContainsFunc(secret, isControl) {
			return fault.Permf("bad_credentials", "the user name or token has control characters")
		}
	}
	return nil
}

func isControl(c rune) bool { return c < 0x20 || c == 0x7f }

func checkURL(raw string) error {
	switch {
	case raw == "" || len(raw) > 2000:
		return errors.New("empty or too long")
	case strings.ContainsFunc(raw, func(c rune) bool { return c <= 0x20 || c >= 0x7f || strings.ContainsRune(`"'<>\^{|}`+"`", c) }):
		return errors.New("has characters that no URL has")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("malformed") // url.Error would repeat it, password and all
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("is not http or https")
	case u.User != nil:
		return errors.New("has a user name or password in it")
	case u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-"):
		return errors.New("has no proper host")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return errors.New("has a query or fragment")
	case strings.Contains(u.Path, "/../") || strings.HasSuffix(u.Path, "/.."):
		return errors.New("has dots in its path")
	}
	return nil
}

var commitID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// CheckCommit refuses anything but a full, lower-case object id.
func CheckCommit(id string) error {
	if !commitID.MatchString(id) {
		return fault.Permf("bad_commit", "%.80q is not a commit id", id)
	}
	return nil
}

// CheckBranch holds a branch name to the rules of git check-ref-format --branch.
func CheckBranch(name string) error {
	if !goodBranch(name) {
		return fault.Permf("bad_branch", "%.200q is not a branch name", name)
	}
	return nil
}

func goodBranch(name string) bool {
	if name == "" || len(name) > 1000 || name == "@" || name == "HEAD" || strings.HasPrefix(name, "-") || strings.HasSuffix(name, ".") {
		return false
	}
	if strings.ContainsFunc(name, func(c rune) bool { return isControl(c) || strings.ContainsRune(" ~^:?*[\\", c) }) {
		return false
	}
	if strings.Contains(name, "..") || strings.Contains(name, "@{") {
		return false
	}
	for _, part := range strings.Split(name, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}

func checkPath(name string) error {
	if name == "" || len(name) > 4000 || path.IsAbs(name) || path.Clean(name) != name || name == "." || name == ".." ||
		strings.HasPrefix(name, "../") || strings.ContainsFunc(name, isControl) {
		return fault.Permf("bad_path", "%.200q is not a path in a repository", name)
	}
	return nil
}

// reasons maps what git says to why trying again can't help. The first match counts; what matches nothing is taken to
// pass: a network that is down, a server's 5xx, too many requests.
var reasons = []struct{ text, reason string }{
	{"was archived so it is read-only", "repository_archived"},
	{"not our ref", "commit_not_found"},
	{"does not allow request for unadvertised object", "commit_not_found"},
	{"couldn't find remote ref", "commit_not_found"},
	{"fsck error in packed object", "repository_corrupt"},
	{"returned error: 401", "unauthorized"},
	{"Authentication failed", "unauthorized"},
	{"could not read Username", "unauthorized"},
	{"could not read Password", "unauthorized"},
	{"terminal prompts disabled", "unauthorized"},
	{"returned error: 403", "forbidden"},
	{"returned error: 404", "repository_not_found"},
	{"returned error: 410", "repository_not_found"},
	{"returned error: 451", "repository_not_found"},
	{"returned error: 301", "repository_moved"},
	{"returned error: 302", "repository_moved"},
	{"returned error: 307", "repository_moved"},
	{"returned error: 308", "repository_moved"},
	{"' not found", "repository_not_found"},
	{"' not allowed", "bad_repository_url"},
}

func classify(e *Error) error {
	for _, r := range reasons {
		if strings.Contains(e.Stderr, r.text) {
			return fault.Perm(r.reason, e)
		}
	}
	return e
}
