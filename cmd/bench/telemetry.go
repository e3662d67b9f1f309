package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/sre-agent/sre-agent/internal/bench"
)

// telemetryResult is the last line. The ratio is the median of the pairs' ratios.
type telemetryResult struct {
	Tool        string  `json:"tool"`
	EndedPerS   float64 `json:"ended_per_s"`
	ControlPerS float64 `json:"control_per_s"`
	Ratio       float64 `json:"ratio"`
	Least       float64 `json:"least_ratio"`
	Pairs       int     `json:"pairs"`
	Runs        int     `json:"runs"`
	MBSent      float64 `json:"mb_sent"`
}

// leastRatio is what full telemetry must leave of the rate.
const leastRatio = 0.9

// benchTelemetry measures what full telemetry costs a run that does nothing: floods through ingest, throttle and runner in
// turn with every trace and metric sent, and with none.
func benchTelemetry(ctx context.Context, dir string, flags *flag.FlagSet, args []string) error {
	p := &pipeline{workers: 16}
	pairs := flags.Int("pairs", 4, "how many floods with telemetry, and without")
	flags.BoolVar(&p.sync, "sync", true, "NATS syncs each delivery to disk, as the embedded server and deploy/nats.conf do")
	flags.IntVar(&p.storm, "storm", 3000, "failures of a flood")
	_ = flags.Parse(args) // it exits by itself
	collector, err := bench.NewCollector(ctx)
	if err != nil {
		return err
	}
	defer collector.Close()
	var with, without, ratios []float64
	for n := range *pairs {
		var rates [2]float64 // with, without
		for i := range 2 {
			which := (i + n) % 2 // each pair the other way round than the one before
			p.more = [2]map[string]string{collector.Full(), bench.Silent()}[which]
			row, err := p.flood(ctx, filepath.Join(dir, fmt.Sprint("flood", n, which)), flood{headline, 0})
			if err != nil {
				return err
			}
			rates[which] = row.EndedPerS
		}
		fmt.Printf("pair %d: %.0f runs a second with telemetry, %.0f without: %.3f\n", n+1, rates[0], rates[1], rates[0]/rates[1])
		with, without, ratios = append(with, rates[0]), append(without, rates[1]), append(ratios, rates[0]/rates[1])
	}
	res := telemetryResult{
		Tool: "bench-telemetry", EndedPerS: middle(with), ControlPerS: middle(without), Ratio: round(middle(ratios), 1000), Least: leastRatio,
		Pairs: *pairs, Runs: p.storm, MBSent: round(float64(collector.Bytes())/(1<<20), 10),
	}
	if err := json.NewEncoder(os.Stdout).Encode(res); err != nil {
		return err
	}
	if math.IsNaN(res.Ratio) || res.Ratio < leastRatio {
		return fmt.Errorf("with telemetry it is %.3f as fast, less than %.1f", res.Ratio, leastRatio)
	}
	return nil
}

// middle is the median.
func middle(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
