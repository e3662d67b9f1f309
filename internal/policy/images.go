package policy

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sre-agent/sre-agent/internal/patch"
)

var (
	fromLine    = regexp.MustCompile(`(?i)^\s*FROM\s+(?:--platform=\S+\s+)?(\S+)(?:\s+AS\s+(\S+))?`)
	imageLine   = regexp.MustCompile(`^\s*-?\s*image\s*:\s*["']?([^\s"'#]+)`)
	imageFiles  = []string{"Dockerfile*", "*.Dockerfile", "Containerfile*"}
	serviceFile = []string{"docker-compose*", "compose.y*ml", "*compose*.y*ml"}
)

// imagesKept: a base image gets another tag or digest at most, never another name.
func imagesKept(p *patch.Patch, _ Rules) []Finding {
	var out []Finding
	for _, c := range changes(p) {
		line := fromLine
		if c.is(serviceFile...) {
			line = imageLine
		} else if !c.is(imageFiles...) {
			continue
		}
		known := map[string]bool{"scratch": true}
		for _, text := range c.visible() {
			noteImage(known, line.FindStringSubmatch(text))
		}
		for _, text := range c.added {
			m := line.FindStringSubmatch(text)
			if m != nil && !known[imageName(m[1])] {
				out = append(out, Finding{ReasonSource, c.Path(), fmt.Sprintf("the image %q was not used here before", clip(m[1]))})
				break
			}
			if len(m) > 2 && m[2] != "" {
				known[imageName(m[2])] = true
			}
		}
	}
	return out
}

// noteImage remembers the image of a line, and the stage that it becomes.
func noteImage(known map[string]bool, m []string) {
	for _, name := range m[min(1, len(m)):] {
		if name != "" {
			known[imageName(name)] = true
		}
	}
}

// imageName is an image without its tag and digest.
func imageName(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		image = image[:i]
	}
	return strings.TrimPrefix(strings.ToLower(image), "docker.io/library/")
}
