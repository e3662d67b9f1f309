package model

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/policy"
)

func TestTheFilesOfAQuestionAreThoseThatAreBlamed(t *testing.T) {
	t.Parallel()
	repo := []string{"main.go", "pkg/a/a.go", "pkg/b/b.go", "x/util.go", "y/util.go", ".env", "deploy/key.pem", "src/App.vue"}
	for i := range 10 {
		repo = append(repo, fmt.Sprintf("many/%d.go", i))
	}
	at := func(files ...string) (out []Diagnostic) {
		for _, f := range files {
			out = append(out, Diagnostic{File: f})
		}
		return out
	}
	tests := map[string]struct {
		in   Input
		want []string
	}{
		"those with the most diagnostics come first": {Input{Diagnostics: at("main.go", "pkg/a/a.go", "pkg/a/a.go")}, []string{"pkg/a/a.go", "main.go"}},
		"a path from the package's folder":           {Input{Diagnostics: at("./b.go", "a/a.go")}, []string{"pkg/b/b.go", "pkg/a/a.go"}},
		"a path of Windows":                          {Input{Diagnostics: at(`pkg\a\a.go`)}, []string{"pkg/a/a.go"}},
		"an absolute path of the CI's machine":       {Input{Diagnostics: at("/home/runner/work/r/r/src/App.vue")}, []string{"src/App.vue"}},
		"a name that two files have":                 {Input{Diagnostics: at("util.go")}, nil},
		"a path that is no file here":                {Input{Diagnostics: at("/etc/passwd", "../main2.go", "")}, nil},
		"a file that may hold a secret":              {Input{Diagnostics: at(".env", "deploy/key.pem", "main.go")}, []string{"main.go"}},
		"those that the log names come last":         {Input{Diagnostics: at("main.go"), Named: []string{"pkg/a/a.go", "main.go"}}, []string{"main.go", "pkg/a/a.go"}},
		"no more than a few":                         {Input{Named: repo[8:]}, repo[8 : 8+MaxFiles]},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, Wants(test.in, repo, policy.Default())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestALargeFileIsShownAroundWhatIsBlamed(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := 1; i <= 1000; i++ {
		fmt.Fprintf(&b, "line %04d\n", i)
	}
	tests := map[string]struct {
		content     string
		blamed      []int
		first, last int
	}{
		"in the middle":               {b.String(), []int{500}, 496, 505},
		"at the start":                {b.String(), []int{1}, 1, 10},
		"at the end":                  {b.String(), []int{1000}, 991, 1000},
		"beyond the end":              {b.String(), []int{5000}, 991, 1000},
		"nowhere":                     {b.String(), nil, 1, 10},
		"a small file is shown whole": {"a\nb\n", []int{2}, 1, 2},
		"one endless line":            {strings.Repeat("x", 5000), []int{1}, 1, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := windowOf(test.content, test.blamed, 100)
			if w.first != test.first || w.last != test.last || len(w.text) > 104 {
				t.Errorf("lines %d to %d, %d bytes", w.first, w.last, len(w.text))
			}
		})
	}
}

func TestAQuestionIsBoundedWhateverItIsMadeFrom(t *testing.T) {
	t.Parallel()
	const size = 20_000
	in := Input{Class: strings.Repeat("c", 1<<20), Command: strings.Repeat("x\n", 1<<20), Files: map[string][]byte{}}
	for i := range 10_000 {
		in.Excerpt = append(in.Excerpt, Line{i, strings.Repeat("log ", 1000)})
		in.Diagnostics = append(in.Diagnostics, Diagnostic{strings.Repeat("t", 1000), strings.Repeat("f", 1000), i, "r", strings.Repeat("m", 1000)})
	}
	for i := range 50 {
		in.Files[fmt.Sprintf("%d%s.go", i, strings.Repeat("<", 5000))] = []byte(strings.Repeat("code\n", 50_000))
	}
	in.Files["0binary"] = []byte("a\x00b")
	in.Files["0large"] = make([]byte, MaxFile+1)
	p, err := builder{size: size, redact: func(s string) string { return s }, random: strings.NewReader(strings.Repeat("r", 16))}.build(in)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.about) > size || len(p.shown) > MaxFiles || len(p.shown) < 3 {
		t.Errorf("%d bytes, %d files", len(p.about), len(p.shown))
	}
}
