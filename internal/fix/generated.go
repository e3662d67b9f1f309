package fix

import (
	"go/version"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

var (
	// plainCommand is one command of words alone: nothing in it that a shell takes for more.
	plainCommand = regexp.MustCompile(`^[\w./-]+(?: (?:[\w./@:%+,-]+|[A-Z_]+=[\w./@:%+,-]*))*$`)
	// asksGit says that the tree is as it was committed, or fails.
	asksGit    = regexp.MustCompile(`^git (?:diff(?: --[\w-]+(?:=\w+)?)* (?:--exit-code|--quiet)(?: --[\w-]+(?:=\w+)?)*(?: --)?(?: [\w.*][\w./*-]*)*|diff-index (?:--[\w-]+ )*--quiet (?:--[\w-]+ )*HEAD(?: --)?)$`)
	asksStatus = regexp.MustCompile(`^(?:test -z|\[ -z) "?\$\(git status (?:--porcelain|-s|--short)(?:=v1)?\)"?(?: \])?$`)
	separator  = regexp.MustCompile(`\s*(?:&&|;|\n)\s*`)
	enters     = regexp.MustCompile(`^cd ([\w.-][\w./-]*)$`)
	// fetches are commands that bring programs of any version from a network; a check has none.
	fetches = regexp.MustCompile(`^(?:go install|npm (?:ci|i|install)|yarn(?: install)?$|pnpm (?:i|install)|pip3? |curl|wget|apt|apt-get|brew|sudo|docker|git|echo)\b`)
)

// regeneration is what a check of generated files does: commands that make them anew, and then a question to git.
type regeneration struct {
	dir      string
	commands []string
	paths    []string
}

// readRegeneration takes such a check apart. A command that says on its own what it makes is one without a question.
func readRegeneration(command string) (regeneration, bool) {
	r := regeneration{dir: "."}
	asked := false
	for i, part := range separator.Split(strings.TrimSpace(command), 20) {
		switch m := enters.FindStringSubmatch(part); {
		case part == "" || part == "set -e" || part == "set -ex" || part == "git status":
		case m != nil && i == 0 && !strings.Contains("/"+m[1]+"/", "/../"):
			r.dir = path.Clean(m[1])
		case asksGit.MatchString(part) || asksStatus.MatchString(part):
			asked = true
			for _, w := range strings.Fields(part)[2:] {
				if !strings.HasPrefix(w, "-") && w != "HEAD" && asksGit.MatchString(part) {
					r.paths = append(r.paths, w)
				}
			}
		case asked || fetches.MatchString(part) || climbs.MatchString(part) || absolute.MatchString(" "+part) || !plainCommand.MatchString(part):
			return regeneration{}, false
		default:
			r.commands = append(r.commands, part)
		}
	}
	return r, len(r.commands) > 0 && (asked || goGenerate.MatchString(strings.Join(r.commands, "\n")))
}

var goGenerate = regexp.MustCompile(`^(?:go (?:-C [\w./-]+ )?generate(?: -[xv])*(?: \.?/?[\w./-]+)+)$`)

// generatedRule makes generated files anew, by the commands that the failing check itself consists of.
func generatedRule(e *entry, in Inputs) (decision, error) {
	command := in.Report.Command
	if in.Check != "" {
		command = in.Check
	}
	r, ok := readRegeneration(command)
	if !ok {
		return decision{}, fault.Permf(ReasonNoCheck, "the failing command isn't one that makes files and then asks git whether they changed")
	}
	for _, c := range r.commands {
		program, _, _ := strings.Cut(c, " ")
		if _, known := Probes()[program]; !known {
			continue
		}
		if _, there := in.Tools[program]; !there {
			return decision{}, fault.Permf(ReasonToolMissing, "%q needs %s, which the sandbox doesn't have", c, program)
		}
	}
	if err := goFits(r.dir, in); err != nil {
		return decision{}, err
	}
	modules, err := fetchModules(r.dir, in)
	if err != nil {
		return decision{}, fault.Perm(ReasonBadManifest, err)
	}
	d := decision{dir: r.dir, files: in.Match.Files, command: in.Report.Command, values: map[string]any{
		"Commands": strings.Join(r.commands, "\n"), "Modules": modules, "Paths": quotePaths(r.paths),
		"Generates": strings.Contains(strings.Join(r.commands, "\n"), "go generate") || strings.Contains(strings.Join(r.commands, "\n"), " generate ./"),
	}}
	// Where the failure names only the sources that something is generated from, the tool has to say the rest.
	if len(r.paths) > 0 && len(d.files) == 0 {
		for _, f := range in.RepoFiles {
			if slices.ContainsFunc(r.paths, func(p string) bool { return inPath(path.Join(r.dir, p), f) }) {
				d.files = append(d.files, f)
			}
		}
	}
	return d, nil
}

func inPath(p, file string) bool {
	return p == "." || p == file || strings.HasPrefix(file, p+"/") || matchesAny([]string{p}, file)
}

// goFits holds the sandbox's Go against the module that something is generated in, if it is one.
func goFits(dir string, in Inputs) error {
	data, ok := in.Files[path.Join(dir, "go.mod")]
	if !ok {
		return nil
	}
	want, err := ReadGoMod(data)
	if err != nil {
		return err
	}
	if have := in.Tools["go"]; have != "" && want.Go != "" && version.Compare(want.Go, have) > 0 {
		return fault.Permf(ReasonToolVersion, "%s asks for %s and the sandbox has %s", path.Join(dir, "go.mod"), want.Go, have)
	}
	return nil
}
