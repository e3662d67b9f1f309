package gitea

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const (
	maxFiles = 300
	maxDiff  = 8 << 20
)

// ChangedFiles lists what a pull request changes, at most 300 files. The API tells the names; the hunks are in the pull
// request's diff, and where that is larger than 8 MiB there are none.
func (c *Client) ChangedFiles(ctx context.Context, owner, name string, number int) ([]forge.FileChange, error) {
	files, err := list[struct {
		Filename string `json:"filename"`
	}](ctx, c, owner, name, forge.ErrNoPullRequest, nil, maxFiles, "pulls", strconv.Itoa(number), "files")
	if err != nil {
		return nil, fmt.Errorf("list changed files of pull request %d: %w", number, err)
	}
	diff, err := c.diff(ctx, owner, name, number)
	if err != nil {
		return nil, fmt.Errorf("read the diff of pull request %d: %w", number, err)
	}
	hunks := hunksByFile(diff)
	var out []forge.FileChange
	for _, f := range files {
		out = append(out, forge.FileChange{Path: f.Filename, Hunks: hunks[f.Filename]})
	}
	return out, nil
}

// diffTimeout is how long the reading of a diff may take.
const diffTimeout = 30 * time.Second

// diff is nil when it is too large.
func (c *Client) diff(ctx context.Context, owner, name string, number int) ([]byte, error) {
	path, err := repository(owner, name, "pulls", strconv.Itoa(number)+".diff")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, diffTimeout)
	defer cancel()
	body, err := c.api.GetStream(ctx, path, nil, "text/plain")
	if err != nil {
		return nil, c.missing(ctx, owner, name, forge.ErrNoPullRequest, err)
	}
	defer func() { _ = body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(body, maxDiff+1))
	switch {
	case err != nil:
		return nil, c.api.TransportError("GET "+path, err)
	case len(raw) > maxDiff:
		return nil, nil
	case len(raw) > 0 && !bytes.HasPrefix(raw, []byte("diff --git ")):
		return nil, &httpapi.RetryError{Op: "GET " + path, Message: "the answer is not the diff that we expect"}
	}
	return raw, nil
}

// hunksByFile cuts a diff of git's into its files. Only what stands before a file's first hunk names the file, and in a
// hunk no line begins with a "d", so that no content can pass for another file.
func hunksByFile(diff []byte) map[string]string {
	out := map[string]string{}
	path, hunks := "", strings.Builder{}
	end := func() {
		if path != "" && hunks.Len() > 0 {
			out[path] = hunks.String()
		}
		path = ""
		hunks.Reset()
	}
	for line := range strings.Lines(string(diff)) {
		switch {
		case strings.HasPrefix(line, "diff --git "):
			end()
		case hunks.Len() > 0 || strings.HasPrefix(line, "@@ -"):
			hunks.WriteString(line)
		case strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "+++ "):
			if p := diffPath(line[4:]); p != "" {
				path = p
			}
		}
	}
	end()
	return out
}

// diffPath reads "a/path" or, as git quotes what is not plain, "\"a/p\\303\\244th\"" (git-config, core.quotePath). The
// other side of a file that is new or gone, /dev/null, is none.
func diffPath(text string) string {
	text = strings.TrimSuffix(strings.TrimRight(text, "\r\n"), "\t")
	if strings.HasPrefix(text, `"`) {
		plain, err := strconv.Unquote(text)
		if err != nil {
			return ""
		}
		text = plain
	}
	if text == "/dev/null" {
		return ""
	}
	_, path, _ := strings.Cut(text, "/")
	return path
}
