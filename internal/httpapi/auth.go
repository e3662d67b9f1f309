package httpapi

import (
	"encoding/base64"
	"strings"
)

// Auth says how a token is sent. It is always in the Authorization header, which is what a redirect loses.
type Auth int

const (
	// Bearer sends "Bearer TOKEN".
	Bearer Auth = iota
	// Basic sends a token that is "user:password", in base64.
	Basic
	// Token sends "token TOKEN", as Gitea and Forgejo document it (docs.gitea.com/development/api-usage).
	Token
)

func (a Auth) header(token string) string {
	switch a {
	case Basic:
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(token))
	case Token:
		return "token " + token
	case Bearer:
	}
	return "Bearer " + token
}

// secrets are the forms of a token that no message may hold.
func (a Auth) secrets(token string) []string {
	if token == "" {
		return nil
	}
	if a != Basic {
		return []string{token}
	}
	secrets := []string{base64.StdEncoding.EncodeToString([]byte(token)), token}
	user, password, _ := strings.Cut(token, ":")
	for _, part := range []string{password, user} {
		if len(part) >= 8 { // a user's short name stands in many innocent places
			secrets = append(secrets, part)
		}
	}
	return secrets
}
