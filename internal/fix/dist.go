package fix

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/sre-agent/sre-agent/internal/fault"
)

var (
	diffOfDist = regexp.MustCompile(`\bgit (?:-\S+ )*(?:diff|status)\b[^\n|;&)]*?[ "'](?:\./)?((?:[\w@.-]+/)*(?:dist|lib|build|out))(?:/|\b)`)
	buildLine  = regexp.MustCompile(`^(?:npm run|npm run-script|yarn run|yarn|pnpm run|pnpm) [A-Za-z][\w:.-]*$`)
	notABuild  = regexp.MustCompile(` (?:install|ci|add|test|lint|check|audit|i)(?::|$)`)
	nodeOf     = regexp.MustCompile(`(?m)^\s*node-version:\s*["']?v?(\d{1,3})\b`)
	nodeFile   = regexp.MustCompile(`(?m)^\s*node-version-file:\s*["']?([\w./-]+)`)
	nodeNumber = regexp.MustCompile(`(?m)^\s*v?(\d{1,3})\b`)
)

// distRule is for build output that is committed. It is built again by the lines that the workflow itself runs before
// it compares.
func distRule(_ *entry, in Inputs) (decision, error) {
	steps, workflow := workflowSteps(in)
	m := diffOfDist.FindStringSubmatch(in.Report.Command)
	if m == nil {
		return decision{}, fault.Permf(ReasonNoCheck, "the failing command compares no folder of build output")
	}
	base := path.Dir(path.Clean(m[1]))
	if cds := cd.FindStringSubmatch(in.Report.Command); cds != nil {
		base = path.Join(path.Clean(cds[1]), base)
	}
	if !fs.ValidPath(base) {
		return decision{}, fault.Permf(ReasonNoBuild, "%s is outside of the repository", base)
	}
	dir, err := packageAround(base, in)
	if err != nil {
		return decision{}, err
	}
	build := buildLines(strings.Join(append(steps, in.Report.Command), "\n"))
	if len(build) == 0 {
		return decision{}, fault.Permf(ReasonNoBuild, "no workflow runs a script of package.json before it compares %s", m[1])
	}
	deps, err := findDeps(dir, in)
	if err != nil {
		return decision{}, err
	}
	if deps.lock == "" {
		return decision{}, fault.Permf(ReasonNeedsInstall, "without a lock file nobody can build the same again")
	}
	if err := declineNode(wantedNodes(workflow, in), in.Tools["node"]); err != nil {
		return decision{}, err
	}
	out := path.Join(base, path.Base(m[1]))
	return decision{
		dir: dir, seeds: deps.seeds, touches: []string{escapeGlob(out) + "/**"},
		values: map[string]any{
			"Build": strings.Join(build, " &&\n"), "Output": Quote(out), "Install": deps.install(dir), "CacheName": deps.cacheName(),
		},
	}, nil
}

// packageAround is the nearest folder at or above one that has a package.json.
func packageAround(dir string, in Inputs) (string, error) {
	for _, at := range upwards(dir) {
		if slices.Contains(in.RepoFiles, path.Join(at, "package.json")) {
			return at, nil
		}
	}
	return "", fault.Permf(ReasonNoBuild, "no package.json is at or above %s", dir)
}

func escapeGlob(name string) string {
	return regexp.MustCompile(`[\\*?\[\]{}]`).ReplaceAllString(name, `\$0`)
}

// buildLines are the lines that run a script of package.json, in their order, each once.
func buildLines(text string) []string {
	var out []string
	for _, part := range between.Split(text, -1) {
		part = strings.TrimSpace(part)
		if buildLine.MatchString(part) && !notABuild.MatchString(part) && !slices.Contains(out, part) {
			out = append(out, part)
		}
	}
	return out
}

type workflowStep struct {
	Run string `yaml:"run"`
}

// workflowSteps are the scripts before the failing one in the job that it belongs to, and that workflow's text.
func workflowSteps(in Inputs) (before []string, workflow []byte) {
	command := strings.TrimSpace(in.Report.Command)
	for _, name := range sortedKeys(in.Files) {
		data := in.Files[name]
		if !strings.HasPrefix(name, ".github/workflows/") || len(data) > 1<<20 {
			continue
		}
		var w struct {
			Jobs map[string]struct {
				Steps []workflowStep `yaml:"steps"`
			} `yaml:"jobs"`
		}
		if yaml.Unmarshal(data, &w) != nil {
			continue
		}
		for _, job := range w.Jobs {
			at := slices.IndexFunc(job.Steps, func(s workflowStep) bool { return command != "" && strings.TrimSpace(s.Run) == command })
			if at < 0 {
				continue
			}
			for _, s := range job.Steps[:at] {
				before = append(before, s.Run)
			}
			return before, data
		}
	}
	return nil, nil
}

// wantedNodes are the major versions of Node that the workflow asks for, itself or by a file that it names.
func wantedNodes(workflow []byte, in Inputs) []int {
	var out []int
	matches := nodeOf.FindAllSubmatch(workflow, 20)
	if m := nodeFile.FindSubmatch(workflow); m != nil {
		matches = append(matches, nodeNumber.FindAllSubmatch(in.Files[path.Clean(string(m[1]))], 1)...)
	}
	for _, m := range matches {
		if major, err := strconv.Atoi(string(m[1])); err == nil {
			out = append(out, major)
		}
	}
	return out
}

// declineNode declines a workflow that asks for a newer Node than the sandbox has.
func declineNode(wanted []int, have string) error {
	mine, _, _ := strings.Cut(strings.TrimPrefix(have, "v"), ".")
	major, err := strconv.Atoi(mine)
	if err != nil {
		return fault.Permf(ReasonToolVersionUnknown, "the sandbox's node says %q of its version", have)
	}
	for _, want := range wanted {
		if want > major {
			return fault.Permf(ReasonToolVersion, "the workflow builds with node %d and the sandbox has %s", want, have)
		}
	}
	return nil
}
