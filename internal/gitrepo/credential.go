package gitrepo

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"
)

// lend gives a process the remote's credential as configuration in memory: a file without a name that the process and
// its children hold open, in no argument, environment or folder. The file returned is to be closed when it has ended.
func (r *Remote) lend(process *exec.Cmd) (*os.File, error) {
	if r == nil || r.Token == "" {
		return nil, nil //nolint:nilnil // nothing to lend is an answer
	}
	fd, err := unix.MemfdCreate("git-credential", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("gitrepo: memory for a credential: %w", err)
	}
	file := os.NewFile(uintptr(fd), "git-credential")
	if _, err := file.WriteString(r.credential()); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("gitrepo: memory for a credential: %w", err)
	}
	process.ExtraFiles = append(process.ExtraFiles, file)
	return file, nil
}

// credential is the configuration that sends the token to the remote's URL and nowhere else.
func (r *Remote) credential() string {
	return "[http " + strconv.Quote(r.URL) + "]\n\textraHeader = Authorization: Basic " + r.basic() + "\n"
}

// lentPath is where a process finds what lend gave it: the first descriptor after the standard ones. Its children
// have it under the same number.
const lentPath = "/proc/self/fd/3"
