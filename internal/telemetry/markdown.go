package telemetry

import (
	"fmt"
	"strings"
)

//go:generate sh -c "go run ./gendoc > ../../docs/metrics.md.new && mv ../../docs/metrics.md.new ../../docs/metrics.md"

const intro = `# Metrics

<!-- Generated from internal/telemetry by: go generate ./internal/telemetry -->

Every program serves its metrics in Prometheus' format on ` + "`/metrics`" + ` of ` + "`HTTP_ADDR`" + `, under exactly these names, and
also sends them by OTLP when an endpoint is named (see [configuration](configuration.md#opentelemetry)). Counters start at zero for
each of their values. A value that is not listed is counted as ` + "`other`" + `, so that nothing from outside can make new series.
Besides these there are those of OpenTelemetry's conventions (below), and the Go runtime's and the process's own. Histograms have
exemplars, which lead to a trace, for whoever asks for OpenMetrics.

A gauge is looked at every 15 seconds by one observer, however often it is scraped, and has no value when that is long ago; runs are
counted more rarely where so many wait that it takes longer than 0.3 seconds. Several throttles show the same of the streams, and one
of them, the leader, shows the runs and the audit: take the maximum, never the sum.

Dashboards are in [deploy/grafana](../deploy/grafana), alerts in [deploy/prometheus/rules.yaml](../deploy/prometheus/rules.yaml).
Each alert links to a section of [the runbook](ops.md#the-playbook).

| metric | kind | meaning | label | values |
|---|---|---|---|---|
`

// Markdown is the text of docs/metrics.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(intro)
	for _, m := range Metrics() {
		var labels, values []string
		for _, l := range m.Labels {
			labels = append(labels, "`"+l.Name+"`")
			values = append(values, valuesCell(l))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.Name, m.Kind, m.Help, strings.Join(labels, "; "), strings.Join(values, "; "))
	}
	b.WriteString(conventions)
	return b.String()
}

const conventions = `
## By OpenTelemetry's conventions

| metric | meaning | labels |
|---|---|---|
| ` + "`http_server_request_duration_seconds`" + ` | webhook requests | method, route, status |
| ` + "`http_client_request_duration_seconds`" + ` | calls of forges and providers | method, status or error, host: the API's own, all others are ` + "`other`" + ` |
| ` + "`messaging_client_operation_duration_seconds`" + ` | publishing, until the stream has it | stream, error |
| ` + "`messaging_process_duration_seconds`" + ` | processing a message | stream, consumer, error: ` + "`leave` or `dead`" + ` |
| ` + "`db_client_operation_duration_seconds`" + ` | PostgreSQL and Redis | system, operation |
`

func valuesCell(l Label) string {
	if len(l.Values) == 0 {
		return "what there is"
	}
	return "`" + strings.Join(l.Values, "`, `") + "`"
}
