package eval

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/failure"
)

// Tool is how much of one tool's output was understood.
type Tool struct {
	Name             string
	Parsed, Expected int
}

// Tools are the scores of the tools' outputs.
type Tools struct {
	Tools []Tool
	// Parsed is the mean over the tools of the share of expectations whose file and line a diagnostic names.
	Parsed float64
	// Pooled is the share of all tools' expectations together.
	Pooled float64
}

func readTools(data fs.FS) (Tools, error) {
	files, err := fs.Glob(data, "tool-output/*.in")
	if err != nil {
		return Tools{}, err
	}
	var out Tools
	var pool Tool
	for _, file := range files {
		tool, err := readTool(data, file)
		if err != nil {
			return out, err
		}
		out.Tools = append(out.Tools, tool)
		out.Parsed += share(tool.Parsed, tool.Expected)
		pool.Parsed += tool.Parsed
		pool.Expected += tool.Expected
	}
	if len(out.Tools) > 0 {
		out.Parsed /= float64(len(out.Tools))
	}
	out.Pooled = share(pool.Parsed, pool.Expected)
	return out, nil
}

type place struct {
	file string
	line int
}

// expectation is file|line col column type| message; only one that names a file counts.
var expectation = regexp.MustCompile(`^([^|]+)\|(\d*)[^|]*\|`)

func readTool(data fs.FS, file string) (Tool, error) {
	tool := Tool{Name: strings.TrimSuffix(path.Base(file), ".in")}
	in, err := fs.ReadFile(data, file)
	if err != nil {
		return tool, err
	}
	ok, err := fs.ReadFile(data, strings.TrimSuffix(file, ".in")+".ok")
	if err != nil {
		return tool, err
	}
	said := map[place]bool{}
	for _, d := range failure.Explain(in).Diagnostics {
		said[place{d.File, d.Line}] = true
	}
	for _, l := range strings.Split(string(ok), "\n") {
		m := expectation.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		line, _ := strconv.Atoi(m[2])
		tool.Expected++
		if said[place{strings.TrimPrefix(m[1], "./"), line}] {
			tool.Parsed++
		}
	}
	if tool.Expected == 0 {
		return tool, fmt.Errorf("%s expects nothing", file)
	}
	return tool, nil
}
