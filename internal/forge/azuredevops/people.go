package azuredevops

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

// The namespace "Git Repositories" and its bits (learn.microsoft.com, "Security namespace and permission reference").
const (
	gitNamespace          = "2e9eb7ed-3c0a-47d4-87c1-0ffdd275fd87"
	administer            = 1
	genericRead           = 2
	genericContribute     = 4
	createBranch          = 16
	managePermissions     = 8192
	pullRequestContribute = 16384
)

var idRE = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// mayWrite asks what our own token may do.
func (c *Client) mayWrite(ctx context.Context, re repository) (bool, error) {
	const wanted = genericRead | genericContribute | createBranch | pullRequestContribute
	p, err := httpapi.Path("_apis", "permissions", gitNamespace, strconv.Itoa(wanted))
	if err != nil {
		return false, err
	}
	var got struct {
		Value []bool `json:"value"`
	}
	if _, err := c.api.Get(ctx, p, versioned(url.Values{"tokens": {re.securityToken()}}, apiVersion), &got); err != nil {
		return false, err
	}
	return len(got.Value) == 1 && got.Value[0], nil
}

type identity struct {
	ID         string `json:"id"`
	Descriptor string `json:"descriptor"`
	IsActive   bool   `json:"isActive"`
	Properties map[string]struct {
		Value any `json:"$value"`
	} `json:"properties"`
}

// is says whether an identity is the one that was asked for, and not one whose name is alike.
func (i identity) is(login string) bool {
	account, _ := i.Properties["Account"].Value.(string)
	return i.IsActive && i.Descriptor != "" && (strings.EqualFold(i.ID, login) || strings.EqualFold(account, login))
}

// Permission says what a person may do in a repository, with what comes from groups. A login that is unknown, or that
// more than one identity has, may do nothing.
func (c *Client) Permission(ctx context.Context, owner, name, login string) (forge.Permission, error) {
	re, err := c.repository(ctx, owner, name)
	if err != nil {
		return forge.NoPermission, fmt.Errorf("read permission: %w", err)
	}
	who, err := c.identify(ctx, login)
	if err != nil || who == "" {
		return forge.NoPermission, err
	}
	p, err := httpapi.Path("_apis", "accesscontrollists", gitNamespace)
	if err != nil {
		return forge.NoPermission, err
	}
	type entry struct {
		Extended struct {
			EffectiveAllow int `json:"effectiveAllow"`
			EffectiveDeny  int `json:"effectiveDeny"`
		} `json:"extendedInfo"`
	}
	var got struct {
		Value []struct {
			Entries map[string]entry `json:"acesDictionary"`
		} `json:"value"`
	}
	query := url.Values{"token": {re.securityToken()}, "descriptors": {who}, "includeExtendedInfo": {"true"}, "recurse": {"false"}}
	if _, err := c.api.Get(ctx, p, versioned(query, apiVersion), &got); err != nil {
		return forge.NoPermission, fmt.Errorf("read permission: %w", err)
	}
	if len(got.Value) != 1 {
		return forge.NoPermission, nil
	}
	e := got.Value[0].Entries[who].Extended
	return permission(e.EffectiveAllow &^ e.EffectiveDeny), nil
}

func permission(bits int) forge.Permission {
	switch {
	case bits&genericRead == 0:
		return forge.NoPermission
	case bits&(administer|managePermissions) != 0:
		return forge.AdminPermission
	case bits&genericContribute != 0:
		return forge.WritePermission
	}
	return forge.ReadPermission
}

// identify returns the descriptor of the one identity that has a login; "" when there is not exactly one.
func (c *Client) identify(ctx context.Context, login string) (string, error) {
	query := url.Values{"searchFilter": {"General"}, "filterValue": {login}}
	if idRE.MatchString(login) {
		query = url.Values{"identityIds": {login}}
	}
	p, err := httpapi.Path("_apis", "identities")
	if err != nil {
		return "", err
	}
	var got struct {
		Value []*identity `json:"value"`
	}
	if _, err := c.people.Get(ctx, p, versioned(query, apiVersion), &got); err != nil {
		return "", fmt.Errorf("find a person: %w", err)
	}
	found := ""
	for _, i := range got.Value {
		if i == nil || !i.is(login) {
			continue
		}
		if found != "" {
			return "", nil
		}
		found = i.Descriptor
	}
	return found, nil
}
