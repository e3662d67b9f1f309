package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

const maxSecretFile = 64 << 10

// readSecretFile reads a secret and trims the line end that editors add. A file that anybody may change is
// refused. One that anybody may read is only warned about: container platforms mount secrets like that.
func readSecretFile(path string) (text, warning string, err error) {
	// Without O_NONBLOCK the open would hang on a named pipe before its kind can be looked at.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		var failed *fs.PathError
		if errors.As(err, &failed) {
			return "", "", failed.Err
		}
		return "", "", err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return "", "", err
	}
	mode := info.Mode()
	switch {
	case !mode.IsRegular():
		return "", "", errors.New("it is not a regular file")
	case mode.Perm()&0o002 != 0:
		return "", "", fmt.Errorf("it is too open: mode %04o lets every user change it; chmod 600 helps", mode.Perm())
	case mode.Perm()&0o004 != 0:
		warning = fmt.Sprintf("the file has mode %04o, which lets every user of the machine read it; chmod 600 helps", mode.Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return "", "", err
	}
	if len(data) > maxSecretFile {
		return "", "", fmt.Errorf("it is larger than %d bytes", maxSecretFile)
	}
	text = strings.TrimRight(string(data), "\r\n")
	if text == "" {
		return "", warning, errors.New("it is empty")
	}
	return text, warning, nil
}
