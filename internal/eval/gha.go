package eval

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/sre-agent/sre-agent/internal/failure"
)

const (
	matchMark  = "#=MATCH=# "
	sourceMark = "#=SOURCE=#"
	// near is how many lines a shown line may stand from the decisive one.
	near = 3
)

// GHA are the scores of windows of GitHub Actions logs.
type GHA struct {
	Windows int
	// Decisive is the share of windows whose decisive line stands at most three lines from a line of the excerpt;
	// Evidence the share in which it stands so near to the line that gave the class.
	Decisive, Evidence float64
	// TransientF1 is that of saying infrastructure, on the windows that have a label.
	TransientF1 float64
	Labelled    int
	// Wrong are the windows that were taken for the other kind.
	Wrong []string
}

// beyondCode are the windows in which no change of the code helps: a service, the network, a machine, an image or a
// credential failed. The data names no label, so this is our reading of each; false means that the code is to blame,
// or the pull request.
var beyondCode = map[string]bool{
	"artifact_not_found":            true,
	"aws_credentials_load_failure":  true,
	"checkout_ciflow_tag_missing":   true,
	"collection_assertionerror":     false,
	"collection_syntaxerror":        false,
	"dirty_checkout":                false,
	"docker_manifest_unknown":       true,
	"gha_timeout":                   true,
	"ghstack_old_version_pr_count":  false,
	"ghstack_too_deep":              false,
	"lintrunner_general_failure":    false,
	"msvc_compiler_error":           false,
	"pytest_failure":                false,
	"python_importerror_missing_so": true,
	"python_runtimeerror":           true,
	"s3_access_denied":              true,
	"test_file_signal_crash":        false,
	"test_file_timeout":             false,
	"unittest_failed_consistently":  false,
	"uv_python_download_failed":     true,
}

func readGHA(data fs.FS) (GHA, error) {
	files, err := fs.Glob(data, "logs/gha/*.txt")
	if err != nil {
		return GHA{}, err
	}
	var out GHA
	var decisive, evidence int
	var said overlap
	for _, file := range files {
		text, err := fs.ReadFile(data, file)
		if err != nil {
			return out, err
		}
		log, line := window(string(text))
		if line == 0 {
			return out, fmt.Errorf("%s: no line is marked", file)
		}
		out.Windows++
		r := failure.Explain([]byte(log))
		if shownNear(r.Excerpt, line) {
			decisive++
		}
		if r.Evidence != nil && shownNear([]failure.Line{*r.Evidence}, line) {
			evidence++
		}
		name := strings.TrimSuffix(path.Base(file), ".txt")
		label, known := beyondCode[name]
		if !known {
			continue
		}
		out.Labelled++
		count(&said, infrastructure(r), label)
		if infrastructure(r) != label {
			out.Wrong = append(out.Wrong, fmt.Sprintf("%s (%s)", name, r.Class))
		}
	}
	out.Decisive, out.Evidence = share(decisive, out.Windows), share(evidence, out.Windows)
	out.TransientF1 = said.f1()
	return out, nil
}

// infrastructure says whether a report takes a failure for none of the code's.
func infrastructure(r failure.Report) bool {
	return r.Transient || r.Class == failure.Infrastructure || r.Class == failure.Permission || r.Class == failure.Flaky
}

func count(o *overlap, said, label bool) {
	if said {
		o.chosen++
	}
	if label {
		o.true++
	}
	if said && label {
		o.hit++
	}
}

// window takes the marks out of a window, and says which line the decisive one is.
func window(text string) (log string, line int) {
	text = strings.NewReplacer("‹", "", "›", "").Replace(text)
	if first, rest, ok := strings.Cut(text, "\n"); ok && strings.HasPrefix(first, sourceMark) {
		text = rest
	}
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if rest, ok := strings.CutPrefix(l, matchMark); ok {
			lines[i], line = rest, i+1
		}
	}
	return strings.Join(lines, "\n"), line
}

func shownNear(lines []failure.Line, line int) bool {
	for _, l := range lines {
		if l.Number >= line-near && l.Number <= line+near {
			return true
		}
	}
	return false
}
