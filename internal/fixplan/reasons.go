package fixplan

import (
	"strconv"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

// Reasons lists every reason of this package's errors.
func Reasons() []string { return edit.Reasons() }

func invalid(at, format string, args ...any) error {
	return fault.Permf(edit.Invalid, at+": "+format, args...)
}

func pointer(list string, i int) string { return list + "/" + strconv.Itoa(i) }
