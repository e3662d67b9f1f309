// Package appjwt signs what a GitHub App says who it is with. It does nothing else: no input, no output, no clock.
package appjwt

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

// Sign makes the token of an App: RS256, begun a minute ago because clocks drift, ended before the ten minutes that
// are allowed (docs.github.com/apps, "Generating a JSON Web Token (JWT) for a GitHub App").
func Sign(issuer string, key *rsa.PrivateKey, now time.Time) (string, error) {
	claims, err := json.Marshal(map[string]any{"iat": now.Add(-time.Minute).Unix(), "exp": now.Add(8 * time.Minute).Unix(), "iss": issuer})
	if err != nil {
		return "", fmt.Errorf("sign as App: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign as App: %w", err)
	}
	return text + "." + encode(signature), nil
}
