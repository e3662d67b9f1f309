package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// fixPair is a row of the table: at the commit Parent the check is red, at the commit Fix it is green.
type fixPair struct {
	class, repo, parent, fix, check string
	// strict says that the fixer gives exactly what the person committed; of all other rows nothing may be published.
	strict bool
}

func (a *app) evalPairsCommand() *cobra.Command {
	var o pairsOptions
	cmd := &cobra.Command{
		Use: "pairs FILE", Short: "Run the fix pipeline on commits that people have fixed, and compare", Args: cobra.ExactArgs(1),
		Long: "Run the whole fix pipeline on each row's parent commit and compare what it makes with what a person committed.\n\n" +
			"FILE is a table with tabs and a header: class, repo, parent, fix, check, fixer, verified, note. --repos has the clones\n" +
			"of its repositories as owner+name. The check is run on the parent commit in the sandbox, with a network as a CI has it,\n" +
			"and what it prints is the log of a failed job on a forge of this machine. Rows that are verified as \"strict\" should\n" +
			"turn green, and equal the person's commit; a fix of any other row is a false fix.\n\n" +
			"It prints one line of JSON a row and one in the end. The exit code is 1 when there is a false fix, or when less than\n" +
			"90 % of the strict rows are green or 85 % equal.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = args[0]
			return a.evalPairs(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.repos, "repos", "", "folder with the clones, as owner+name below it")
	f.StringVar(&o.match, "match", "", "only rows whose class, repository or commit this expression matches")
	f.BoolVar(&o.verbose, "verbose", false, "print each run's log to standard error")
	_ = cmd.MarkFlagRequired("repos")
	return cmd
}

type pairsOptions struct {
	file, repos, match string
	verbose            bool
}

// pairOutcome is one row's line.
type pairOutcome struct {
	Class   string  `json:"class"`
	Repo    string  `json:"repo"`
	Parent  string  `json:"parent"`
	Outcome string  `json:"outcome"` // green, declined, false_fix or error
	Equal   bool    `json:"equal"`
	Reason  string  `json:"reason,omitempty"`
	Detail  string  `json:"detail,omitempty"`
	Fixer   string  `json:"fixer,omitempty"`
	Seconds float64 `json:"seconds"`
}

// pairsSummary is the last line.
type pairsSummary struct {
	Tool       string  `json:"tool"`
	Rows       int     `json:"rows"`
	Strict     int     `json:"strict"`
	Green      int     `json:"green"`
	Equal      int     `json:"equal"`
	GreenShare float64 `json:"green_share"`
	EqualShare float64 `json:"equal_share"`
	Declined   int     `json:"declined"`
	FalseFixes int     `json:"false_fixes"`
	Errors     int     `json:"errors"`
	Seconds    float64 `json:"seconds"`
}

const (
	wantGreen = 0.90
	wantEqual = 0.85
)

func (a *app) evalPairs(ctx context.Context, o pairsOptions) error {
	rows, err := readPairs(o)
	if err != nil {
		return err
	}
	bench, err := a.newPairBench(ctx, o)
	if err != nil {
		return err
	}
	defer bench.close()
	sum := pairsSummary{Tool: "eval-pairs", Rows: len(rows)}
	began := time.Now()
	out := json.NewEncoder(a.stdout)
	for i, row := range rows {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		res := bench.try(ctx, i+1, row)
		sum.add(row, res)
		if err := out.Encode(res); err != nil {
			return err
		}
	}
	sum.Seconds = time.Since(began).Seconds()
	if err := out.Encode(sum); err != nil {
		return err
	}
	return sum.verdict()
}

func (s *pairsSummary) add(row fixPair, res pairOutcome) {
	if row.strict {
		s.Strict++
	}
	switch res.Outcome {
	case outcomeGreen:
		s.Green++
		if res.Equal {
			s.Equal++
		}
	case outcomeDeclined:
		s.Declined++
	case outcomeFalseFix:
		s.FalseFixes++
	default:
		s.Errors++
	}
	if s.Strict > 0 {
		s.GreenShare, s.EqualShare = float64(s.Green)/float64(s.Strict), float64(s.Equal)/float64(s.Strict)
	}
}

func (s *pairsSummary) verdict() error {
	if s.FalseFixes > 0 {
		return fmt.Errorf("%d false fixes", s.FalseFixes)
	}
	if s.Strict > 0 && (s.GreenShare < wantGreen || s.EqualShare < wantEqual) {
		return fmt.Errorf("%.0f %% of the strict rows are green and %.0f %% equal; wanted are %.0f and %.0f",
			100*s.GreenShare, 100*s.EqualShare, 100*wantGreen, 100*wantEqual)
	}
	return nil
}

// readPairs reads the table's rows that the options want.
func readPairs(o pairsOptions) ([]fixPair, error) {
	f, err := os.Open(o.file)
	if err != nil {
		return nil, &usageError{err.Error()}
	}
	defer func() { _ = f.Close() }()
	match, err := regexp.Compile(o.match)
	if err != nil {
		return nil, &usageError{fmt.Sprintf("--match: %v", err)}
	}
	rows, err := parsePairs(f)
	if err != nil {
		return nil, &usageError{fmt.Sprintf("%s: %v", o.file, err)}
	}
	var wanted []fixPair
	for _, row := range rows {
		if match.MatchString(row.class + " " + row.repo + " " + row.parent) {
			wanted = append(wanted, row)
		}
	}
	if len(wanted) == 0 {
		return nil, &usageError{o.file + " has no such row"}
	}
	return wanted, nil
}

var (
	pairRepo   = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$`)
	pairCommit = regexp.MustCompile(`^[0-9a-f]{7,40}$`)
)

func parsePairs(r io.Reader) ([]fixPair, error) {
	var rows []fixPair
	scanner := bufio.NewScanner(r)
	for n := 1; scanner.Scan(); n++ {
		fields := strings.Split(scanner.Text(), "\t")
		if n == 1 {
			if len(fields) < 7 || fields[0] != "class" || fields[6] != "verified" {
				return nil, fmt.Errorf("line 1: want the header class, repo, parent, fix, check, fixer, verified")
			}
			continue
		}
		if len(fields) < 7 || !pairRepo.MatchString(fields[1]) || !pairCommit.MatchString(fields[2]) || !pairCommit.MatchString(fields[3]) || fields[4] == "" {
			return nil, fmt.Errorf("line %d: want class, owner/name, parent, fix, check, fixer and verified, with tabs between", n)
		}
		rows = append(rows, fixPair{class: fields[0], repo: fields[1], parent: fields[2], fix: fields[3], check: fields[4], strict: fields[6] == "strict"})
	}
	return rows, scanner.Err()
}
