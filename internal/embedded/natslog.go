package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// natsLog writes the server's log lines to slog and remembers the last error: the server reports a failed start
// only there.
type natsLog struct {
	log *slog.Logger

	mu   sync.Mutex
	last error
}

func (l *natsLog) lastError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		return errors.New("the server gave no reason")
	}
	return l.last
}

func (l *natsLog) fail(msg string) {
	l.mu.Lock()
	l.last = errors.New(msg)
	l.mu.Unlock()
	l.log.Error(msg)
}

// The server's notices are chatter for whoever runs sre-agent, so they sink to debug.

func (l *natsLog) Noticef(f string, v ...any) { l.log.Debug(fmt.Sprintf(f, v...)) }
func (l *natsLog) Warnf(f string, v ...any)   { l.log.Warn(fmt.Sprintf(f, v...)) }
func (l *natsLog) Errorf(f string, v ...any)  { l.fail(fmt.Sprintf(f, v...)) }
func (l *natsLog) Fatalf(f string, v ...any)  { l.fail(fmt.Sprintf(f, v...)) }
func (l *natsLog) Debugf(f string, v ...any)  { l.log.Debug(fmt.Sprintf(f, v...)) }
func (l *natsLog) Tracef(f string, v ...any)  { l.log.Debug(fmt.Sprintf(f, v...)) }
