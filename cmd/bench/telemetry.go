package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sre-agent/sre-agent/internal/bench"
)

// telemetryResult is the last line. The ratio is the median of the pairs' ratios.
type telemetryResult struct {
	Tool        string  `json:"tool"`
	EndedPerS   float64 `json:"ended_per_s"`
	ControlPerS float64 `json:"control_per_s"`
	Ratio       float64 `json:"ratio"`
	// Ratios are those of the pairs, in turn: how far they lie apart says how much the ratio is worth.
	Ratios []float64 `json:"ratios"`
	Least  float64   `json:"least_ratio"`
	Pairs  int       `json:"pairs"`
	Runs   int       `json:"runs"`
	MBSent float64   `json:"mb_sent"`
}

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
	res := telemetryResult{Tool: "bench-telemetry", Least: bench.LeastWithTelemetry, Pairs: *pairs, Runs: p.storm}
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
		res.Ratios = append(res.Ratios, round(rates[0]/rates[1], 1000))
	}
	res.EndedPerS, res.ControlPerS, res.Ratio = bench.Median(with), bench.Median(without), round(bench.Median(ratios), 1000)
	res.MBSent = round(float64(collector.Bytes())/(1<<20), 10)
	if err := json.NewEncoder(os.Stdout).Encode(res); err != nil {
		return err
	}
	if res.Ratio < bench.LeastWithTelemetry {
		return fmt.Errorf("with telemetry it is %.3f as fast, less than %.1f", res.Ratio, bench.LeastWithTelemetry)
	}
	return nil
}
