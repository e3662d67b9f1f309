package chaos

import (
	"bytes"
	"encoding/base64"
)

// FindSecrets returns a leak for each secret (by name) that text holds, as it is or as the credentials of git over
// HTTP.
func FindSecrets(where string, text []byte, secrets map[string]string) (found []Leak) {
	for name, secret := range secrets {
		basic := base64.StdEncoding.EncodeToString([]byte("x-access-token:" + secret))
		if bytes.Contains(text, []byte(secret)) || bytes.Contains(text, []byte(basic)) {
			found = append(found, Leak{Secret: name, Where: where})
		}
	}
	return found
}
