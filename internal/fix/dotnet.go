package fix

import (
	"encoding/json"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// dotnetRule is for "dotnet format", of which only the white space can be mended without restoring the packages of
// the projects. The formatter is the one of the SDK that global.json pins.
func dotnetRule(_ *entry, in Inputs) (decision, error) {
	if len(in.Match.Files) == 0 {
		return decision{}, fault.Permf(ReasonNoCheck, "the failure names no file for dotnet format to check")
	}
	var global struct {
		SDK struct {
			Version string `json:"version"`
		} `json:"sdk"`
	}
	data, ok := in.Files["global.json"]
	if !ok || json.Unmarshal(comments.ReplaceAll(data, nil), &global) != nil || global.SDK.Version == "" {
		return decision{}, fault.Permf(ReasonToolVersionUnknown, "no global.json says which SDK")
	}
	if have := strings.TrimSpace(in.Tools["dotnet"]); have != global.SDK.Version {
		return decision{}, fault.Permf(ReasonToolVersion, "global.json asks for the SDK %s and the sandbox has %q", global.SDK.Version, have)
	}
	return decision{
		dir: ".", command: in.Report.Command, files: in.Match.Files,
		values: map[string]any{"Files": quotePaths(in.Match.Files)},
	}, nil
}
