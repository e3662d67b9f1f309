package parts_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/parts"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

func TestRedisIsMeasuredByCommand(t *testing.T) {
	tel, cfg := telemetry.NewTest(), &config.Config{}
	cfg.RedisURL = config.NewSecret(testenv.RedisURL(t))
	rdb, err := parts.OpenRedis(&program.Env{Config: cfg, Telemetry: tel.Telemetry})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	_ = rdb.Get(t.Context(), "not there").Err() // no failure
	if err := rdb.Incr(t.Context(), "a number").Err(); err != nil {
		t.Fatal(err)
	}
	if err := rdb.LPush(t.Context(), "a number", 1).Err(); err == nil {
		t.Fatal("a number is a list")
	}
	w := httptest.NewRecorder()
	tel.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	for _, want := range []string{
		`db_client_operation_duration_seconds_count{db_operation_name="connect",db_system_name="redis"}`,
		`db_client_operation_duration_seconds_count{db_operation_name="ping",db_system_name="redis"} 1`,
		`db_client_operation_duration_seconds_count{db_operation_name="get",db_system_name="redis"} 1`,
		`db_client_operation_duration_seconds_count{db_operation_name="lpush",db_system_name="redis",error_type="failed"} 1`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("/metrics has no line %s", want)
		}
	}
}
