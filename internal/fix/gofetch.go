package fix

import (
	"path"
	"slices"
)

// fetchModules is a script that downloads the modules that a go.mod names, where nothing of the work tree is seen but
// that file's text. It is empty where there is nothing to fetch.
func fetchModules(dir string, in Inputs) (string, error) {
	data, ok := in.Files[path.Join(dir, "go.mod")]
	if !ok || slices.Contains(in.RepoFiles, path.Join(dir, "vendor/modules.txt")) {
		return ":", nil
	}
	gomod, err := withoutLocal(data)
	if err != nil {
		return "", err
	}
	return `(
  export GOENV=off GOTOOLCHAIN=local GOWORK=off GOVCS='*:off' GOFLAGS=-modcacherw GOPATH="$SRE_GO_CACHE" GOMODCACHE="$SRE_GO_CACHE/mod"
  export GOPROXY="${GOPROXY:-https://proxy.golang.org}"
  mkdir -p module && cd module
  printf '%s' ` + Quote(gomod) + ` > go.mod
  go mod download
)`, nil
}
