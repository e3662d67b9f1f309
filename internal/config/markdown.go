package config

import (
	"fmt"
	"slices"
	"strings"
)

//go:generate sh -c "go run ./gendoc > ../../docs/configuration.md.new && mv ../../docs/configuration.md.new ../../docs/configuration.md"

const intro = `# Configuration

<!-- Generated from the struct tags in internal/config by: go generate ./internal/config -->

Every program is configured by environment variables alone, reads only those that it needs, and checks them all before it
does anything: a bad configuration gives one message that lists every problem. ` + "`sre-agent config`" + ` shows what is in
effect and where each value came from, secrets hidden.

Each **secret** can come from a file instead: ` + "`GITHUB_READ_TOKEN_FILE=/run/secrets/token`" + `. A line end at the end of
the file is cut off. Setting both is an error. A file that every user may change is refused; one that every user may read gives a
warning.

An empty variable counts as one that is not set. A variable that is misspelt gives a warning at the start.
`

const outro = `
## OpenTelemetry

Metrics are always served in Prometheus' format on ` + "`/metrics`" + `. Traces and metrics are also sent by OTLP, over HTTP or
gRPC, when an endpoint is named. The standard variables are read by the OpenTelemetry SDK itself:
[exporter](https://opentelemetry.io/docs/specs/otel/protocol/exporter/),
[SDK](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).

| variable | meaning |
|---|---|
| ` + "`OTEL_EXPORTER_OTLP_ENDPOINT`" + ` | base address for traces and metrics, such as ` + "`http://collector:4318`" + `; not set: nothing is sent |
| ` + "`OTEL_EXPORTER_OTLP_PROTOCOL`" + `, also for one of the two as below | ` + "`http/protobuf`" + ` (the default; port 4318) or ` + "`grpc`" + ` (port 4317); anything else ends the program at its start |
| ` + "`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`" + ` | the address of one of the two; over HTTP with its path, such as ` + "`/v1/traces`" + ` |
| ` + "`OTEL_EXPORTER_OTLP_HEADERS`" + ` | headers for the collector, such as its key |
| ` + "`OTEL_RESOURCE_ATTRIBUTES`" + ` | more attributes of this process |
| ` + "`OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`" + ` | which traces are kept |
`

// Markdown is the text of docs/configuration.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(intro)
	section := ""
	for _, v := range Describe() {
		if v.Section != section {
			section = v.Section
			fmt.Fprintf(&b, "\n## %s\n\n| variable | default | allowed | read by | meaning |\n|---|---|---|---|---|\n", section)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", code(v.Name), v.defaultCell(), cell(v.Allowed()), v.programsCell(), v.descriptionCell())
	}
	b.WriteString(outro)
	return b.String()
}

func (v Variable) defaultCell() string {
	if v.Default == "" {
		return ""
	}
	return code(v.Default)
}

// programsCell names the programs, those that require the variable in bold. The command line is left out: it
// requires nothing.
func (v Variable) programsCell() string {
	var names []string
	for _, p := range v.Programs {
		if p == Operator {
			continue
		}
		name := string(p)
		if p == All {
			name = "all-in-one"
		}
		if v.requiredBy(p) {
			name = "**" + name + "** (required)"
		}
		names = append(names, name)
	}
	if len(v.Required) == 0 && !slices.ContainsFunc(everyProgram[:5], func(p Program) bool { return !v.readBy(p) }) {
		return "every program"
	}
	return strings.Join(names, ", ")
}

func (v Variable) descriptionCell() string {
	text := cell(v.Description)
	if v.Secret {
		text = "**Secret**; " + code(v.Name+"_FILE") + " may name a file. " + text
	}
	if v.Default == "" && v.Example != "" {
		text += " Example: " + code(v.Example) + "."
	}
	return text
}

func code(s string) string { return "`" + s + "`" }
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
