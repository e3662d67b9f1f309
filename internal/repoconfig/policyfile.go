package repoconfig

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/policy"
)

// ParsePolicy reads a policy from a file of its own: what stands below policy: in a repository's file, alone or with
// that key above it. A repository's whole file will do too; its policy is taken.
func ParsePolicy(data []byte) (settings Policy, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("it cannot be read as YAML: simplify it")
		}
		if err != nil {
			settings, err = Policy{}, fault.Permf(ReasonBad, "%s", strings.ReplaceAll(err.Error(), Path, "the policy"))
		}
	}()
	if len(data) > MaxBytes {
		return settings, fmt.Errorf("%s is %d bytes: make it at most %d", Path, len(data), MaxBytes)
	}
	if err := plain(data); err != nil {
		return settings, err
	}
	var keys map[string]any
	if err := yaml.Unmarshal(data, &keys); err != nil {
		return settings, explain(err)
	}
	if _, whole := keys["version"]; whole {
		cfg, err := Parse(data)
		if err != nil {
			return settings, err
		}
		return cfg.Policy, nil
	}
	if _, below := keys["policy"]; below {
		var file struct {
			Policy Policy `yaml:"policy"`
		}
		if err := decode(data, &file); err != nil {
			return settings, err
		}
		return file.Policy, policyProblem(data, "$.policy", file.Policy)
	}
	if err := decode(data, &settings); err != nil && !errors.Is(err, io.EOF) {
		return settings, err
	}
	return settings, policyProblem(data, "$", settings)
}

// Rules are the rules of an operator's own policy file, or the default ones where path is empty.
func Rules(path string) (policy.Rules, error) {
	if path == "" {
		return policy.Default(), nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return policy.Rules{}, fmt.Errorf("policy file: %w", err)
	}
	settings, err := ParsePolicy(data)
	if err != nil {
		return policy.Rules{}, fmt.Errorf("policy file %s: %w", path, err)
	}
	return policy.Default().Set(settings), nil
}
