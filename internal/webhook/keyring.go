package webhook

import (
	"slices"
	"strings"
)

// Keyring knows which keys may have signed for which provider, owner and repository.
type Keyring struct {
	keys map[string]Keys // by provider, provider/owner and provider/owner/name, in lower case
}

// NewKeyring starts with no key: every provider is off.
func NewKeyring() *Keyring { return &Keyring{keys: map[string]Keys{}} }

// Add adds keys that are good for every repository of a provider.
func (k *Keyring) Add(provider string, keys Keys) {
	if !keys.None() {
		k.add(provider, keys)
	}
}

// AddScoped adds one secret for an owner or a repository alone; scope is "provider/owner" or "provider/owner/name".
func (k *Keyring) AddScoped(scope, secret string, asToken bool) {
	if asToken {
		k.add(scope, Keys{Tokens: [][]byte{[]byte(secret)}})
	} else {
		k.add(scope, Keys{Signing: [][]byte{[]byte(secret)}})
	}
}

func (k *Keyring) add(scope string, keys Keys) {
	scope = strings.ToLower(scope)
	had := k.keys[scope]
	k.keys[scope] = Keys{Signing: append(had.Signing, keys.Signing...), Tokens: append(had.Tokens, keys.Tokens...)}
}

// On says whether a provider has any key.
func (k *Keyring) On(provider string) bool {
	for scope := range k.keys {
		if scope == provider || strings.HasPrefix(scope, provider+"/") {
			return true
		}
	}
	return false
}

// Scoped says whether a provider has a key for one owner or repository alone.
func (k *Keyring) Scoped(provider string) bool {
	for scope := range k.keys {
		if strings.HasPrefix(scope, provider+"/") {
			return true
		}
	}
	return false
}

// For returns the keys that may have signed for a repository: its own, those of each owner above it (a group's
// subgroups have the group's keys), and the provider's. Keys of any other repository are not among them.
func (k *Keyring) For(provider, owner, name string) Keys {
	keys := k.keys[provider]
	if owner == "" {
		return keys
	}
	scope := provider
	for _, part := range append(strings.Split(strings.ToLower(owner), "/"), strings.ToLower(name)) {
		if part == "" {
			break
		}
		scope += "/" + part
		more := k.keys[scope]
		keys = Keys{Signing: slices.Concat(keys.Signing, more.Signing), Tokens: slices.Concat(keys.Tokens, more.Tokens)}
	}
	return keys
}
