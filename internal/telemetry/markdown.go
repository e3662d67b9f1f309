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
Besides these there are the Go runtime's, the process's and the instrumented libraries' own metrics.

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
	return b.String()
}

func valuesCell(l Label) string {
	if len(l.Values) == 0 {
		return "what there is"
	}
	return "`" + strings.Join(l.Values, "`, `") + "`"
}
