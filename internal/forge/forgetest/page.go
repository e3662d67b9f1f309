package forgetest

import (
	"bytes"
	_ "embed" // for the page's template
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

const maxDiff = 512 << 10

//go:embed page.html
var pageText string

// diffLine is one line of a diff with the class that colours it.
type diffLine struct{ Class, Text string }

type pageData struct {
	Repo Repo
	PR   PR
	Body template.HTML
	Diff []diffLine
	Cut  bool
}

// servePage shows a pull request to a person. It needs no token: the forge listens on this machine only.
func (s *Server) servePage(w http.ResponseWriter, owner, name, num string) {
	data, ok := s.pageData(owner, name, num)
	if !ok {
		http.Error(w, "no such pull request", http.StatusNotFound)
		return
	}
	t, err := template.New("page").Parse(pageText)
	var out bytes.Buffer
	if err == nil {
		err = t.Execute(&out, data)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(out.Bytes())
}

func (s *Server) pageData(owner, name, num string) (pageData, bool) {
	var data pageData
	n, err := strconv.Atoi(num)
	if err != nil {
		return data, false
	}
	found := false
	_ = s.withRepo(owner, name, func(re *repo) error {
		if n < 1 || n > len(re.prs) {
			return nil
		}
		found = true
		data.Repo, data.PR = re.Repo, *re.prs[n-1]
		data.Diff, data.Cut = s.diff(re, data.PR)
		return nil
	})
	data.Body = markdown(data.PR.Body)
	return data, found
}

func (s *Server) diff(re *repo, pr PR) ([]diffLine, bool) {
	if pr.BaseSHA == "" {
		return nil, false
	}
	out, err := s.gitIn(re.dir, "diff", "--no-color", "--no-ext-diff", "--no-textconv", pr.BaseSHA, pr.HeadSHA)
	if err != nil {
		return []diffLine{{"meta", "the diff can't be shown"}}, false
	}
	cut := len(out) > maxDiff
	if cut {
		out = out[:maxDiff]
	}
	var lines []diffLine
	for line := range strings.SplitSeq(strings.TrimSuffix(string(out), "\n"), "\n") {
		lines = append(lines, diffLine{diffClass(line), line})
	}
	return lines, cut
}

func diffClass(line string) string {
	switch {
	case strings.HasPrefix(line, "diff --git"):
		return "file"
	case strings.HasPrefix(line, "@@"):
		return "hunk"
	case strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"), strings.HasPrefix(line, "index "):
		return "meta"
	case strings.HasPrefix(line, "+"):
		return "add"
	case strings.HasPrefix(line, "-"):
		return "del"
	}
	return "same"
}
