package fix

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"golang.org/x/mod/semver"

	"github.com/sre-agent/sre-agent/internal/fault"
)

const preCommitConfig = ".pre-commit-config.yaml"

var (
	failedHook       = regexp.MustCompile(`^- hook id: ([\w.-]{1,100})$`)
	preCommitVersion = regexp.MustCompile(`^pre-commit (\d+\.\d+\.\d+)`)
)

// preCommit is a configuration of pre-commit. Hooks are kept as they are, to be written out again.
type preCommit struct {
	Minimum string `yaml:"minimum_pre_commit_version" json:"-"`
	Files   string `yaml:"files" json:"files,omitempty"`
	Exclude string `yaml:"exclude" json:"exclude,omitempty"`
	Repos   []struct {
		Repo  string           `yaml:"repo" json:"repo"`
		Hooks []map[string]any `yaml:"hooks" json:"hooks"`
	} `yaml:"repos" json:"repos"`
}

func hookField(hook map[string]any, key string) string { s, _ := hook[key].(string); return s }

// local is the configuration without what pre-commit would fetch as soon as it starts.
func (c preCommit) local() (string, error) {
	kept := c
	kept.Repos = nil
	for _, repo := range c.Repos {
		if repo.Repo == "local" {
			kept.Repos = append(kept.Repos, repo)
		}
	}
	text, err := json.Marshal(kept)
	return string(text), err
}

// preCommitRule runs the hooks that the log says failed, if they are the repository's own: a hook of another
// repository is code that would have to be fetched from anywhere.
func preCommitRule(_ *entry, in Inputs) (decision, error) {
	have := preCommitVersion.FindStringSubmatch(in.Tools["pre-commit"])
	if have == nil {
		return decision{}, fault.Permf(ReasonToolVersionUnknown, "the sandbox's pre-commit says %q of its version", in.Tools["pre-commit"])
	}
	var cfg preCommit
	data := in.Files[preCommitConfig]
	if err := yaml.Unmarshal(data[:min(len(data), 1<<18)], &cfg); err != nil || len(cfg.Repos) == 0 {
		return decision{}, fault.Permf(ReasonBadManifest, "%s can't be read", preCommitConfig)
	}
	if cfg.Minimum != "" && semver.Compare("v"+cfg.Minimum, "v"+have[1]) > 0 {
		return decision{}, fault.Permf(ReasonToolVersion, "%s asks for pre-commit %s and the sandbox has %s", preCommitConfig, cfg.Minimum, have[1])
	}
	hooks, err := failedHooks(in, cfg)
	if err != nil {
		return decision{}, err
	}
	files := "--all-files"
	if len(in.Match.Files) > 0 {
		files = "--files " + quotePaths(in.Match.Files)
	}
	local, err := cfg.local()
	if err != nil {
		return decision{}, fault.Perm(ReasonBadManifest, err)
	}
	return decision{dir: ".", files: in.Match.Files, values: map[string]any{"Hooks": strings.Join(hooks, " "), "Files": files, "Config": Quote(local)}}, nil
}

func failedHooks(in Inputs, cfg preCommit) ([]string, error) {
	var hooks []string
	for _, l := range in.Report.Excerpt {
		m := failedHook.FindStringSubmatch(l.Text)
		if m == nil || slices.Contains(hooks, m[1]) {
			continue
		}
		if err := ownHook(m[1], cfg); err != nil {
			return nil, err
		}
		hooks = append(hooks, m[1])
	}
	if len(hooks) == 0 {
		return nil, fault.Permf(ReasonNoCheck, "the log names no hook that failed")
	}
	return hooks, nil
}

func ownHook(id string, cfg preCommit) error {
	for _, repo := range cfg.Repos {
		for _, h := range repo.Hooks {
			language := hookField(h, "language")
			switch {
			case hookField(h, "id") != id:
			case repo.Repo != "local":
				return fault.Permf(ReasonNeedsPlugins, "the hook %s is code of another repository", id)
			case !slices.Contains([]string{"system", "script", "unsupported", "unsupported_script"}, language):
				return fault.Permf(ReasonNeedsPlugins, "the hook %s needs an environment of its own for %q", id, language)
			default:
				return nil
			}
		}
	}
	return fault.Permf(ReasonBadManifest, "%s has no hook %s", preCommitConfig, id)
}
