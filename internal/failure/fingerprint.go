package failure

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"sort"
	"strings"
)

// maxHashed is how many error lines make a fingerprint.
const maxHashed = 20

var noise = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?`), "TIME"},
	{regexp.MustCompile(`\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b`), "UUID"},
	{regexp.MustCompile(`(?:/private)?(?:/var/folders/\S+?|/tmp|/var/tmp|/run/user/\d+)/[^\s:'")]+`), "TEMP"},
	{checkout, ""},
	{regexp.MustCompile(`\b0x[0-9a-fA-F]+\b`), "HEX"},
	{regexp.MustCompile(`\b[0-9a-fA-F]*\d[0-9a-fA-F]*\b`), "N"},
	{regexp.MustCompile(`\b[0-9a-f]{12,}\b`), "HEX"},
	{regexp.MustCompile(`\d+(?:\.\d+)*`), "N"},
	{regexp.MustCompile(`\s+`), " "},
}

// decisive are lines that say what is wrong, rather than that something is.
var decisive = regexp.MustCompile(`(?i)(?:^|[\s\[(:])(?:error|fatal|panic|failure|failed|exception|traceback|undefined|cannot find|not found|no such file|conflict|denied|unexpected|expected|assert\w*|differs?|unformatted|mismatch|missing|\[warn\]|E\d{4}|FAIL)(?:$|[\s\])(:!,.])|(?:\w|/)\.\w{1,6}:\d+(?::\d+)?[:\s]|^(?:diff |--- |\+\+\+ |\[warn\])|^\s*(?:✗|✘|×|✖)`)

// notDecisive are lines that only look so.
var notDecisive = regexp.MustCompile(`(?i)^##\[error\]Process completed|\b0 (?:errors?|failures?|failed)\b|(?:errors?|failures?|failed)[:=]\s*0\b|--fail|fail-fast|error\.(?:js|ts|go|py)\b|ignor(?:e|ing) error`)

// Normalize takes out of a line what differs from one run of the same failure to the next: times, numbers,
// hashes, temporary and checkout paths.
func Normalize(text string) string {
	for _, n := range noise {
		text = n.re.ReplaceAllString(text, n.with)
	}
	return strings.TrimSpace(text)
}

// Fingerprint tells the same trouble on a new commit: a hash of the repository's id, the branch, the workflow and
// the normalised error lines, whatever their order. It is 64 hexadecimal digits.
func Fingerprint(r Report, repositoryID, branch, workflow string) string {
	lines := errorLines(r)
	h := sha256.New()
	for _, part := range append([]string{repositoryID, branch, workflow, Normalize(r.Command)}, lines...) {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Trouble is the normalised error alone, wherever it comes up: 64 hexadecimal digits, or nothing where the log has no line
// that says what is wrong.
func Trouble(r Report) string {
	lines := errorLines(r)
	if len(lines) == 0 {
		return ""
	}
	h := sha256.New()
	for _, part := range append([]string{Normalize(r.Command)}, lines...) {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}

func errorLines(r Report) []string {
	seen := map[string]bool{}
	var lines []string
	for _, strict := range []bool{true, false} {
		for _, l := range r.Excerpt {
			text := Normalize(l.Text)
			if text == "" || seen[text] || (strict && (!decisive.MatchString(l.Text) || notDecisive.MatchString(l.Text))) {
				continue
			}
			seen[text] = true
			lines = append(lines, text)
		}
		if len(lines) > 0 {
			break
		}
	}
	sort.Strings(lines)
	return lines[:min(len(lines), maxHashed)]
}
