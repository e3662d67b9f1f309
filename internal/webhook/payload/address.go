package payload

import (
	"net/url"
	"regexp"
	"strings"
)

// GitAddress is where a git repository is. Providers write the same place in several ways; this is what they share.
type GitAddress struct {
	// Host is in lower case, with a port unless it is the scheme's own.
	Host string
	// Owner may have slashes, as groups of GitLab do; Name has no ".git".
	Owner, Name string

	insecure bool
}

var (
	gitHost = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?$`)
	scpForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}@([A-Za-z0-9.-]{1,253}):([^:]+)$`)
)

// ParseGitAddress reads "https://host/owner/name.git", "ssh://git@host:22/owner/name.git", "git://host/owner/name" and
// "git@host:owner/name.git". Users and passwords in it are dropped. It says no to everything else, files above all.
func ParseGitAddress(s string) (GitAddress, bool) {
	if len(s) > 2048 {
		return GitAddress{}, false
	}
	var a GitAddress
	path := ""
	if m := scpForm.FindStringSubmatch(s); m != nil {
		a.Host, path = m[1], m[2]
	} else {
		u, err := url.Parse(s)
		if err != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
			return GitAddress{}, false
		}
		path = u.Path
		switch u.Scheme {
		case "https":
			a.Host = strings.TrimSuffix(u.Host, ":443")
		case "http":
			a.Host, a.insecure = strings.TrimSuffix(u.Host, ":80"), true
		case "ssh", "git":
			a.Host = u.Hostname() // the port is that of another service than the web's
		default:
			return GitAddress{}, false
		}
	}
	a.Host = strings.ToLower(a.Host)
	path = strings.TrimSuffix(strings.Trim(path, "/"), ".git")
	cut := strings.LastIndexByte(path, '/')
	if cut < 0 || !gitHost.MatchString(a.Host) {
		return GitAddress{}, false
	}
	a.Owner, a.Name = path[:cut], path[cut+1:]
	if !isOwner(a.Owner) || !IsRepositoryPart(a.Name) {
		return GitAddress{}, false
	}
	return a, true
}

// ID is the same for every way to write the address: "host/owner/name" in lower case. It stands for the repository's
// own id where a provider does not know that.
func (a GitAddress) ID() string { return strings.ToLower(a.Host + "/" + a.FullName()) }

// FullName is "owner/name".
func (a GitAddress) FullName() string { return a.Owner + "/" + a.Name }

// WebURL is the repository's page: https unless the address itself was http.
func (a GitAddress) WebURL() string {
	scheme := "https://"
	if a.insecure {
		scheme = "http://"
	}
	return scheme + a.Host + "/" + a.FullName()
}

// CloneURL is what git clones from.
func (a GitAddress) CloneURL() string { return a.WebURL() + ".git" }
