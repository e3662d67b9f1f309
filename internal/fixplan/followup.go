package fixplan

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// FollowUp is a lock file that a changed manifest leaves stale.
type FollowUp struct {
	// Tool is npm, pnpm, yarn, bun, poetry, uv, pdm, cargo, gradle, or go (which means go mod tidy).
	Tool string `json:"tool"`
	// Manifest is the file that changed, Lock the one to refresh.
	Manifest string `json:"manifest"`
	Lock     string `json:"lock"`
}

// lockNames are the lock files that may belong to a manifest, in the order in which they are looked for.
func lockNames(manifest string) []string {
	switch base := path.Base(manifest); base {
	case "package.json":
		return []string{"npm-shrinkwrap.json", "package-lock.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock"}
	case "pyproject.toml":
		return []string{"poetry.lock", "uv.lock", "pdm.lock"}
	case "Cargo.toml":
		return []string{"Cargo.lock"}
	case "build.gradle", "build.gradle.kts":
		return []string{"gradle.lockfile"}
	}
	return nil
}

// followUps finds the locks of the manifests that changed: beside them, or in the nearest folder above.
func followUps(plan Plan, r Result, read Read) ([]FollowUp, error) {
	var out []FollowUp
	for _, manifest := range plan.Files {
		if r.Changed[manifest] == nil {
			continue
		}
		if path.Base(manifest) == "go.mod" {
			out = append(out, FollowUp{"go", manifest, path.Join(path.Dir(manifest), "go.sum")})
			continue
		}
		found, err := nearest(path.Dir(manifest), lockNames(manifest), read)
		if err != nil {
			return nil, err
		}
		for _, lock := range found {
			out = append(out, FollowUp{locks[strings.ToLower(path.Base(lock))], manifest, lock})
		}
	}
	return out, nil
}

// nearest returns the locks of the first folder, going up, that has any.
func nearest(dir string, names []string, read Read) ([]string, error) {
	for len(names) > 0 {
		var found []string
		for _, name := range names {
			file := path.Join(dir, name)
			_, ok, err := read(file)
			if err != nil {
				return nil, fmt.Errorf("read %q: %w", file, err)
			}
			if ok && !slices.Contains(found, file) {
				found = append(found, file)
			}
		}
		if len(found) > 0 || dir == "." {
			return found, nil
		}
		dir = path.Dir(dir)
	}
	return nil, nil
}
