package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sre-agent/sre-agent/internal/bench"
)

// intakeReport is the line of JSON. Rates are deliveries that were answered 2xx in a second.
type intakeReport struct {
	Tool        string  `json:"tool"`
	Mode        string  `json:"mode"`
	Rate        float64 `json:"rate"`
	ControlRate float64 `json:"control_rate"`
	// Ratio is the median of the pairs' ratios.
	Ratio    float64 `json:"ratio"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
	Max      float64 `json:"max_ms"`
	Non2xx   int     `json:"non2xx"`
	Accepted int     `json:"accepted"`
	Lost     int     `json:"lost"`
	RSS      float64 `json:"rss_mb"`

	Control    string  `json:"control"`
	ControlP50 float64 `json:"control_p50_ms"`
	ControlP99 float64 `json:"control_p99_ms"`
	TargetRate float64 `json:"target_rate"`
	Seconds    float64 `json:"seconds"`
	Rounds     int     `json:"rounds"`
	Duplicates int     `json:"duplicates"`
	Unanswered int     `json:"unanswered"`
	InStream   int     `json:"in_stream"`
	// InRecords is null when the records were not asked for.
	InRecords   *int   `json:"in_records"`
	Provider    string `json:"provider"`
	Size        int    `json:"size"`
	Connections int    `json:"connections"`
	// Loris is how many slow connections were asked for, LorisOpen the least that were open at any moment, and LorisCut
	// how many the server has ended.
	Loris     int `json:"loris"`
	LorisOpen int `json:"loris_open"`
	LorisCut  int `json:"loris_cut"`
}

func (b *intakeBench) report() (*intakeReport, error) {
	if len(b.pairs) == 0 {
		return nil, errors.New("nothing was measured")
	}
	r := &intakeReport{
		Tool: "bench-intake", Mode: b.mode, Control: b.controlName(), TargetRate: b.rate, Rounds: len(b.pairs), Provider: b.provider,
		Size: b.size, Connections: b.connections, Loris: b.loris, LorisOpen: b.held, LorisCut: b.cut,
		Accepted: b.found.accepted, InStream: b.found.inStream, Lost: b.found.lost, RSS: round(float64(b.ingest.PeakMemory())/(1<<20), 10),
	}
	if b.records != nil {
		r.InRecords = &b.found.inRecords
	}
	var all, control bench.Latencies
	var rates, controls, ratios []float64
	for _, p := range b.pairs {
		all.Merge(&p.measured.Latencies)
		control.Merge(&p.control.Latencies)
		rates, controls = append(rates, p.measured.Rate()), append(controls, p.control.Rate())
		ratios = append(ratios, p.measured.Rate()/max(p.control.Rate(), 1e-9))
		r.Non2xx += p.measured.Non2xx()
		r.Unanswered += p.measured.Unanswered
		r.Duplicates += p.measured.Duplicates
		r.Seconds += p.measured.Elapsed.Seconds()
	}
	r.Rate, r.ControlRate, r.Ratio = round(median(rates), 10), round(median(controls), 10), round(median(ratios), 1000)
	r.P50, r.P99, r.Max = ms(all.Quantile(500)), ms(all.Quantile(990)), ms(all.Quantile(1000))
	r.ControlP50, r.ControlP99 = ms(control.Quantile(500)), ms(control.Quantile(990))
	r.Seconds = round(r.Seconds, 10)
	return r, nil
}

func (b *intakeBench) controlName() string {
	if b.loris > 0 {
		return "ingest without slow senders"
	}
	if b.telemetry {
		return "ingest without telemetry"
	}
	return "bare handler"
}

// print prints the table and the line, and returns an error when the figures are not good.
func (r *intakeReport) print(t terminal, b *intakeBench, lineOnly bool) error {
	if !lineOnly {
		rows := [][]string{{"round", "ingest/s", r.Control + "/s", "ratio", "p50 ms", "p99 ms", "max ms", "not 2xx"}}
		for n, p := range b.pairs {
			m, rate, control := p.measured, p.measured.Rate(), p.control.Rate()
			rows = append(rows, []string{
				fmt.Sprint(n + 1), fmt.Sprintf("%.0f", rate), fmt.Sprintf("%.0f", control), fmt.Sprintf("%.3f", rate/max(control, 1e-9)),
				fmt.Sprint(ms(m.Latencies.Quantile(500))), fmt.Sprint(ms(m.Latencies.Quantile(990))), fmt.Sprint(ms(m.Latencies.Quantile(1000))),
				fmt.Sprint(m.Non2xx()),
			})
		}
		t.table(rows)
		t.printf("accepted %d, of them in the stream %d, in the records %s, lost %d; duplicates %d; ingest's memory %.0f MB at most\n",
			r.Accepted, r.InStream, orDash(r.InRecords), r.Lost, r.Duplicates, r.RSS)
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	t.printf("%s\n", line)
	switch {
	case r.Lost > 0:
		return fmt.Errorf("%d accepted deliveries are lost", r.Lost)
	case b.rate > 0 && r.Non2xx > 0:
		return fmt.Errorf("%d requests were not answered 2xx", r.Non2xx)
	case b.telemetry && b.rate == 0 && r.Ratio < leastWithTelemetry:
		return fmt.Errorf("with telemetry ingest is %.3f as fast, less than %.1f", r.Ratio, leastWithTelemetry)
	}
	return nil
}

// leastWithTelemetry is what full telemetry must leave of the rate.
const leastWithTelemetry = 0.9

func orDash(n *int) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

func ms(d time.Duration) float64 { return round(d.Seconds()*1000, 100) }

func round(v, per float64) float64 { return math.Round(v*per) / per }
