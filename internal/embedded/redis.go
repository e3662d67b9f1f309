package embedded

import (
	"fmt"

	"github.com/alicebob/miniredis/v2"
)

// Redis is an in-process stand-in for a Redis server, on loopback. It keeps everything in memory, so it suits one
// process only: nobody else can share its locks, and they end with it.
type Redis struct {
	mini *miniredis.Miniredis
}

// StartRedis starts the stand-in on a free port. Its clock ticks: left alone, miniredis never expires a key.
func StartRedis() (*Redis, error) {
	mini, err := miniredis.Run()
	if err != nil {
		return nil, fmt.Errorf("start in-process Redis: %w", err)
	}
	mini.ClockTTL(true)
	return &Redis{mini: mini}, nil
}

// URL is where clients connect, such as redis://127.0.0.1:41235/0.
func (r *Redis) URL() string { return "redis://" + r.mini.Addr() + "/0" }

// Close stops the stand-in; what it held is gone.
func (r *Redis) Close() { r.mini.Close() }
