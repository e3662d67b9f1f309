// Package docker changes a Dockerfile: the tag and digest of a base image, and what apt-get leaves behind.
//
// It promises that the file is read by BuildKit's own parser, that only the named image or instruction changes, and
// that a name or version is an image's and nothing else. It is pure.
package docker

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

var (
	// The grammar of github.com/distribution/reference.
	nameRE   = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$`)
	tagRE    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	digestRE = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	argRE    = regexp.MustCompile(`^\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))$`)
)

// instruction is one instruction of the file and the place of its lines.
type instruction struct {
	node       *parser.Node
	word       string
	start, end int
}

func read(src []byte) (out []instruction, err error) {
	if err := edit.Readable(src); err != nil {
		return nil, err
	}
	result, err := parser.Parse(bytes.NewReader(src))
	if err != nil {
		return nil, fault.Perm(edit.Unreadable, err)
	}
	starts := []int{0, 0}
	for at := 0; at < len(src); {
		at = edit.LineStop(src, at)
		starts = append(starts, at)
	}
	for _, n := range result.AST.Children {
		if n.EndLine+1 >= len(starts) || n.StartLine < 1 {
			return nil, fault.Permf(edit.Unreadable, "line %d is not where the parser says", n.StartLine)
		}
		out = append(out, instruction{n, strings.ToLower(n.Value), starts[n.StartLine], starts[n.EndLine+1]})
	}
	return out, nil
}

// image is a reference in its parts: name[:tag][@digest].
type image struct{ name, tag, digest string }

func parseImage(ref string) image {
	rest, digest, _ := strings.Cut(ref, "@")
	name, tag := rest, ""
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		name, tag = rest[:i], rest[i+1:]
	}
	return image{name, tag, digest}
}

func (i image) String() string {
	out := i.name
	if i.tag != "" {
		out += ":" + i.tag
	}
	if i.digest != "" {
		out += "@" + i.digest
	}
	return out
}

// version reads what a plan asks for: tag, tag@digest, or a digest alone.
func version(text string) (image, error) {
	if digest := strings.TrimPrefix(text, "@"); digestRE.MatchString(digest) {
		return image{digest: digest}, nil
	}
	tag, digest, both := strings.Cut(text, "@")
	if !tagRE.MatchString(tag) || (both && !digestRE.MatchString(digest)) || strings.EqualFold(tag, "latest") {
		return image{}, fault.Permf(edit.Invalid, "version %q is no tag and no digest, such as 1.2-slim or 1.2-slim@sha256:…", text)
	}
	return image{tag: tag, digest: digest}, nil
}
