package forgetest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// serveRun shows a CI run's failed jobs and their logs to a person, as plain text.
func (s *Server) serveRun(w http.ResponseWriter, owner, name, run string) {
	runID, err := strconv.ParseInt(run, 10, 64)
	var b strings.Builder
	_ = s.withRepo(owner, name, func(re *repo) error {
		for _, j := range re.jobs {
			if err == nil && j.runID == runID {
				fmt.Fprintf(&b, "job %s, attempt %d: %s\n\n%s\n", j.Name, j.attempt, j.Conclusion, j.log)
			}
		}
		return nil
	})
	if b.Len() == 0 {
		http.Error(w, "no such run", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write([]byte(b.String()))
}
