package eval_test

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sre-agent/sre-agent/internal/eval"
)

func packed(t *testing.T, text string) *fstest.MapFile {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &fstest.MapFile{Data: b.Bytes()}
}

// folder is a small one of the shape of the real data.
func folder(t *testing.T) fstest.MapFS {
	t.Helper()
	return fstest.MapFS{
		"logs/chunks/cases.jsonl": {Data: []byte(
			`{"log":"Go__a@x__failed__1.log.gz","chunk":"undefined: x\nsecond line"}` + "\n" +
				`{"log":"Go__b@y__failed__2.log.gz","chunk":"not in the log\n\u001b[31mfatal: trouble\u001b[0m"}` + "\n")},
		"logs/chunks/Go__a@x__failed__1.log.gz": packed(t, "a.go:1:2: undefined: x\r\n\r\nsecond line\r\n"),
		"logs/chunks/Go__b@y__failed__2.log.gz": packed(t, "fatal: trouble\n"),
		"logs/diff/one/fail.log.gz":             packed(t, "start\nerror: bad\nend 7\n"),
		"logs/diff/one/pass.log.gz":             packed(t, "start\nend 8\n"),
		"logs/diff/one/groundtruth":             {Data: []byte("DEFAULT\nE 2\nC 3\n")},
		"logs/diff/one/groundtruth2":            {Data: []byte("DEFAULT\nE 2-3\n")},
		"logs/gha/gha_timeout.txt":              {Data: []byte("#=SOURCE=# x\nrunning\n#=MATCH=# ##[error]The action ‹'Test'› has timed out after 360 minutes.\n")},
		"logs/gha/another.txt":                  {Data: []byte("#=MATCH=# hello\n")},
		"tool-output/x.in":                      {Data: []byte("./a.go:1:2: bad\nb.go:7: worse\n")},
		"tool-output/x.ok":                      {Data: []byte("./a.go|1 col 2| bad\nb.go|8| worse\n| error| no file\n")},
	}
}

func TestScoresAreThoseOfASmallFolder(t *testing.T) {
	got, err := eval.ReadLogs(folder(t))
	if err != nil {
		t.Fatal(err)
	}
	want := eval.Logs{
		Chunks: eval.Chunks{
			All:         eval.Chunk{Cases: 2, Recall: 0.75, Full: 0.5, F1: (1 + 2.0/3) / 2, Lines: 1.5, Longest: 2},
			Development: eval.Chunk{Cases: 1, Recall: 1, Full: 1, F1: 1, Lines: 2, Longest: 2},
			HeldOut:     eval.Chunk{Cases: 1, Recall: 0.5, F1: 2.0 / 3, Lines: 1, Longest: 1},
		},
		Diff:  eval.Diff{Pairs: 1, F1: 1, Second: 2.0 / 3, People: 2.0 / 3},
		GHA:   eval.GHA{Windows: 2, Decisive: 1, Evidence: 0.5, TransientF1: 1, Labelled: 1},
		Tools: eval.Tools{Tools: []eval.Tool{{Name: "x", Parsed: 1, Expected: 2}}, Parsed: 0.5, Pooled: 0.5},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatCantBeReadIsAnErrorAndNoScore(t *testing.T) {
	for name, change := range map[string]func(fstest.MapFS){
		"a missing log":      func(f fstest.MapFS) { delete(f, "logs/chunks/Go__a@x__failed__1.log.gz") },
		"no cases":           func(f fstest.MapFS) { delete(f, "logs/chunks/cases.jsonl") },
		"a bad case":         func(f fstest.MapFS) { f["logs/chunks/cases.jsonl"] = &fstest.MapFile{Data: []byte("{")} },
		"a log not packed":   func(f fstest.MapFS) { f["logs/diff/one/fail.log.gz"] = &fstest.MapFile{Data: []byte("x")} },
		"no truth":           func(f fstest.MapFS) { delete(f, "logs/diff/one/groundtruth") },
		"nothing marked":     func(f fstest.MapFS) { f["logs/gha/another.txt"] = &fstest.MapFile{Data: []byte("hello\n")} },
		"nothing expected":   func(f fstest.MapFS) { f["tool-output/x.ok"] = &fstest.MapFile{Data: []byte("hello\n")} },
		"no expectations at": func(f fstest.MapFS) { delete(f, "tool-output/x.ok") },
	} {
		f := folder(t)
		change(f)
		if _, err := eval.ReadLogs(f); err == nil || !strings.Contains(err.Error(), "/") && !strings.Contains(err.Error(), "tool-output") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
