package store

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// connectTimeout bounds the making of a connection.
	connectTimeout = 5 * time.Second
	// userTimeout is how long sent bytes may go unacknowledged by the other host.
	userTimeout = 15 * time.Second
)

// dialWell notices a host that has vanished without a word: on a connection that waits by keep-alives, and on one
// that sends by the missing acknowledgements.
func dialWell(cfg *pgx.ConnConfig) {
	cfg.ConnectTimeout = connectTimeout
	d := &net.Dialer{
		Timeout:         connectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control:         limitUnacknowledged,
	}
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return d.DialContext(ctx, network, addr)
	}
}
