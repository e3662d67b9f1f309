package embedded

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// postgresHomes are the folders that hold PostgreSQL's server programs but are on nobody's PATH: Debian's and
// Homebrew's.
var postgresHomes = []string{
	"/usr/lib/postgresql/*/bin",
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
}

// findPostgres returns the folder with PostgreSQL's server programs: of the given major version when there is data
// of it, else the highest.
func findPostgres(major string) (string, error) {
	return findPostgresIn(postgresCandidates(), binaryMajor, major)
}

func postgresCandidates() []string {
	var dirs []string
	for _, pattern := range postgresHomes {
		found, _ := filepath.Glob(pattern) // only a bad pattern is an error
		dirs = append(dirs, found...)
	}
	if bin, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(bin); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	return slices.DeleteFunc(dirs, func(dir string) bool {
		return !isProgram(filepath.Join(dir, "postgres")) || !isProgram(filepath.Join(dir, "initdb"))
	})
}

func findPostgresIn(dirs []string, majorOf func(dir string) (int, error), want string) (string, error) {
	best, bestMajor := "", 0
	for _, dir := range dirs {
		major, err := majorOf(dir)
		if err != nil {
			continue // a broken installation is no better than none
		}
		if want != "" && strconv.Itoa(major) != want {
			continue
		}
		if major > bestMajor {
			best, bestMajor = dir, major
		}
	}
	switch {
	case best != "":
		return best, nil
	case want != "":
		return "", fmt.Errorf("the data was written by PostgreSQL %s, which is not installed (apt-get install postgresql-%s, or brew install postgresql@%s)", want, want, want)
	}
	return "", errors.New("PostgreSQL's server is not installed (apt-get install postgresql, or brew install postgresql)")
}

// binaryMajor asks the program, which prints such as "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
func binaryMajor(dir string) (int, error) {
	cmd := exec.Command(filepath.Join(dir, "postgres"), "--version") //nolint:noctx // prints a line and ends
	cmd.Env = bareEnv()
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("postgres --version: %w", err)
	}
	_, version, ok := strings.Cut(string(out), "(PostgreSQL) ")
	if !ok {
		return 0, fmt.Errorf("postgres --version: %q", out)
	}
	digits := version[:len(version)-len(strings.TrimLeft(version, "0123456789"))]
	return strconv.Atoi(digits)
}

// dataVersion is the major version that wrote dir, or "" where there is no finished data directory.
func dataVersion(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
