package gitrepo

import "strings"

// Below says where the repositories of a forge are, by owner and name. The address is made from the configured base
// and the names, never taken from a webhook: the token goes nowhere else.
func Below(base, token string) func(owner, name string) Remote {
	base = strings.TrimRight(base, "/")
	return func(owner, name string) Remote {
		return Remote{URL: base + "/" + owner + "/" + name + ".git", Token: token}
	}
}
