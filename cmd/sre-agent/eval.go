package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/eval"
)

func (a *app) evalCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "eval", Short: "Score sre-agent on real material", RunE: group}
	cmd.AddCommand(a.evalLogsCommand(), a.evalPairsCommand())
	return cmd
}

func (a *app) evalLogsCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use: "logs", Short: "Score what is read from logs against what people marked in them", Args: cobra.NoArgs,
		Long: "Score what is read from logs against what people marked in them, and print a table and one line of JSON.\n" +
			"docs/evaluation.md says how each figure is made.\n\n" + exitCodes,
		RunE: func(*cobra.Command, []string) error {
			scores, err := eval.ReadLogs(os.DirFS(data))
			if err != nil {
				return err
			}
			return a.showScores(scores)
		},
	}
	cmd.Flags().StringVar(&data, "data", "../shared/data", "folder with logs/chunks, logs/diff, logs/gha and tool-output")
	return cmd
}

// scoreLine is the line of JSON.
type scoreLine struct {
	Tool   string `json:"tool"`
	Chunks struct {
		Recall float64 `json:"recall"`
		Full   float64 `json:"full"`
		F1     float64 `json:"f1"`
	} `json:"chunks"`
	Diff struct {
		F1 float64 `json:"f1"`
	} `json:"diff"`
	GHA struct {
		Decisive    float64 `json:"decisive"`
		TransientF1 float64 `json:"transient_f1"`
	} `json:"gha"`
	ToolOutput struct {
		Parsed float64 `json:"parsed"`
	} `json:"tool_output"`
}

func (a *app) showScores(s eval.Logs) error {
	t := a.terminal()
	rows := [][]string{{"WHAT", "CASES", "SCORES"}}
	for _, half := range []struct {
		name  string
		score eval.Chunk
	}{{"excerpts, all", s.Chunks.All}, {"excerpts, development half", s.Chunks.Development}, {"excerpts, held-out half", s.Chunks.HeldOut}} {
		c := half.score
		rows = append(rows, []string{half.name, fmt.Sprint(c.Cases), fmt.Sprintf("recall %.3f, wholly inside %.3f, F1 %.3f, %.1f lines (at most %d)", c.Recall, c.Full, c.F1, c.Lines, c.Longest)})
	}
	rows = append(rows,
		[]string{"error lines, with a passing log", fmt.Sprint(s.Diff.Pairs), fmt.Sprintf("F1 %.3f (second annotator %.3f, the two against each other %.3f)", s.Diff.F1, s.Diff.Second, s.Diff.People)},
		[]string{"decisive lines", fmt.Sprint(s.GHA.Windows), fmt.Sprintf("in the excerpt %.3f, as the evidence %.3f", s.GHA.Decisive, s.GHA.Evidence)},
		[]string{"infrastructure or code", fmt.Sprint(s.GHA.Labelled), fmt.Sprintf("F1 %.3f%s", s.GHA.TransientF1, wrong(s.GHA.Wrong))},
		[]string{"tool output", fmt.Sprint(len(s.Tools.Tools)), fmt.Sprintf("parsed %.3f (all expectations together %.3f)%s", s.Tools.Parsed, s.Tools.Pooled, wrong(missed(s.Tools)))},
	)
	t.table(rows)
	line := scoreLine{Tool: "eval"}
	line.Chunks.Recall, line.Chunks.Full, line.Chunks.F1 = thousandths(s.Chunks.All.Recall), thousandths(s.Chunks.All.Full), thousandths(s.Chunks.All.F1)
	line.Diff.F1 = thousandths(s.Diff.F1)
	line.GHA.Decisive, line.GHA.TransientF1 = thousandths(s.GHA.Decisive), thousandths(s.GHA.TransientF1)
	line.ToolOutput.Parsed = thousandths(s.Tools.Parsed)
	text, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("print the scores: %w", err)
	}
	t.printf("%s\n", text)
	return nil
}

func thousandths(v float64) float64 { return math.Round(v*1000) / 1000 }

func missed(s eval.Tools) (out []string) {
	for _, t := range s.Tools {
		if t.Parsed < t.Expected {
			out = append(out, fmt.Sprintf("%s %d of %d", t.Name, t.Parsed, t.Expected))
		}
	}
	return out
}

func wrong(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "; not: " + strings.Join(names, ", ")
}
