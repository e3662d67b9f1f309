package fixplan

import (
	"path"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/docker"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
	"github.com/sre-agent/sre-agent/internal/fixplan/gomod"
	"github.com/sre-agent/sre-agent/internal/fixplan/java"
	"github.com/sre-agent/sre-agent/internal/fixplan/node"
	"github.com/sre-agent/sre-agent/internal/fixplan/python"
	"github.com/sre-agent/sre-agent/internal/fixplan/setting"
)

// apply does one operation to its file.
func (op Operation) apply(src []byte) ([]byte, error) {
	if locked(op.File) {
		return nil, fault.Permf(edit.Declined, "a lock file is written by its own tool: change the manifest")
	}
	d := op.Details
	switch op.Kind {
	case ModifyCode:
		return modify(src, d.Old, d.New)
	case UpdateConfig:
		set := edit.Setting{Key: splitKey(d.Key), Value: d.Value}
		if dockerfile(op.File) {
			return docker.Apt(src, set)
		}
		if dependencySection(op.File, set.Key) {
			return nil, fault.Permf(edit.Declined, "%q is a dependency: use add_dependency or pin_dependency", d.Key)
		}
		return setting.Do(op.File, src, set)
	case RemoveUnused:
		if d.Old != "" {
			return drop(src, d.Old)
		}
		return dependency(op.File, src, edit.Dependency{Action: edit.Remove, Name: d.Name, Group: d.Group})
	case AddDependency:
		return dependency(op.File, src, edit.Dependency{Action: edit.Add, Name: d.Name, Version: d.Version, Group: d.Group})
	case PinDependency:
		return dependency(op.File, src, edit.Dependency{Action: edit.Pin, Name: d.Name, Version: d.Version, Group: d.Group})
	}
	return nil, fault.Permf(edit.NoAdapter, "kind %q", op.Kind)
}

// dependency picks the adapter by the file's name.
func dependency(file string, src []byte, dep edit.Dependency) ([]byte, error) {
	base := path.Base(file)
	switch {
	case base == "package.json":
		return node.Manifest(src, dep)
	case base == "go.mod":
		return gomod.Manifest(src, dep)
	case base == "pom.xml":
		return java.Maven(src, dep)
	case strings.HasSuffix(base, ".gradle") || strings.HasSuffix(base, ".gradle.kts"):
		return java.Gradle(src, dep)
	case strings.HasSuffix(base, ".versions.toml"):
		return java.Catalogue(src, dep)
	case base == "pyproject.toml":
		return python.Pyproject(src, dep)
	case requirements(file):
		return python.Requirements(src, dep)
	case dockerfile(file):
		return docker.From(src, dep)
	}
	return nil, fault.Permf(edit.NoAdapter, "%q is no manifest that is known here", base)
}

func requirements(file string) bool {
	base := strings.ToLower(path.Base(file))
	if ext := path.Ext(base); ext != ".txt" && ext != ".in" {
		return false
	}
	return strings.Contains(base, "requirements") || strings.HasPrefix(base, "constraints") || path.Base(path.Dir(file)) == "requirements"
}

func dockerfile(file string) bool {
	base := strings.ToLower(path.Base(file))
	return base == "dockerfile" || base == "containerfile" || strings.HasPrefix(base, "dockerfile.") || strings.HasSuffix(base, ".dockerfile")
}

// locks are files that only their own tool writes, and the tool.
var locks = map[string]string{
	"package-lock.json": "npm", "npm-shrinkwrap.json": "npm", "pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lock": "bun",
	"poetry.lock": "poetry", "uv.lock": "uv", "pdm.lock": "pdm", "pipfile.lock": "pipenv",
	"cargo.lock": "cargo", "go.sum": "go", "go.work.sum": "go", "gradle.lockfile": "gradle",
}

func locked(file string) bool {
	_, ok := locks[strings.ToLower(path.Base(file))]
	return ok
}

// dependencySection says whether a key is in a section whose entries are dependencies, which have rules of their own.
func dependencySection(file string, key []string) bool {
	switch base := path.Base(file); {
	case base == "package.json":
		return slices.Contains([]string{
			"dependencies", "devDependencies", "peerDependencies", "optionalDependencies", "bundleDependencies",
			"bundledDependencies", "overrides", "resolutions", "pnpm",
		}, key[0])
	case base == "pyproject.toml":
		return slices.ContainsFunc(key, func(part string) bool {
			return strings.HasSuffix(part, "dependencies") || part == "dependency-groups" || part == "build-system" || part == "sources" || part == "source"
		})
	case base == "Cargo.toml":
		return slices.ContainsFunc(key, func(part string) bool {
			return strings.HasSuffix(part, "dependencies") || part == "patch" || part == "replace"
		})
	case strings.HasSuffix(base, ".versions.toml"):
		return true
	}
	return false
}
