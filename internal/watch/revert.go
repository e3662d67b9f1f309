package watch

import (
	"fmt"
	"regexp"
	"strings"
)

// hexes are what follows git's own words, alone or abbreviated. https://git-scm.com/docs/git-revert
var hexes = regexp.MustCompile(`(?i)\bthis reverts (?:merge )?commit ([0-9a-f]{7,64})\b`)

// Reverts says whether a commit's message says that the commit takes one of ours back: a commit by its id, or a pull
// request by its number in the words of the forges' own buttons.
//
//	git, GitHub, GitLab, Gitea  This reverts commit 0123...
//	GitHub, the pull request    Reverts acme/hello#12
//	GitLab, a merge request     This reverts merge request !12
//	Bitbucket                   This reverts pull request #12.
//	Azure DevOps                Reverts !12
func Reverts(message string, commits []string, owner, name string, number int) bool {
	for _, m := range hexes.FindAllStringSubmatch(message, -1) {
		for _, commit := range commits {
			if commit != "" && strings.HasPrefix(strings.ToLower(commit), strings.ToLower(m[1])) {
				return true
			}
		}
	}
	repo := regexp.QuoteMeta(owner + "/" + name)
	pull := fmt.Sprintf(`(?im)^(?:reverts (?:%s)?[#!]%d|this reverts (?:merge|pull) request (?:%s)?[#!]%d)\b`, repo, number, repo, number)
	return regexp.MustCompile(pull).MatchString(message)
}
