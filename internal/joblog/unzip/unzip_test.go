package unzip_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/joblog/joblogtest"
	"github.com/sre-agent/sre-agent/internal/joblog/unzip"
)

type entry struct{ Name, Text string }

func all(in io.Reader) ([]entry, error) {
	var out []entry
	for r := unzip.NewReader(in); ; {
		name, content, err := r.Next()
		if unzip.IsEnd(err) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		text, err := io.ReadAll(content)
		if err != nil {
			return out, err
		}
		out = append(out, entry{name, string(text)})
	}
}

// archive is made by the standard library; a method of its own for every second entry.
func archive(t *testing.T, entries []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	for _, e := range entries {
		w, err := zw.Create(e.Name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, e.Text)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEntriesAreReadInTheirOrderWhateverTheirNames(t *testing.T) {
	want := []entry{
		{"0_build.txt", strings.Repeat("a line\n", 10_000)},
		{"build/1_set up.txt", ""},
		{"../../etc/passwd", "x"},
		{"/etc/passwd", "y"},
		{"nul\x00.txt", "z"},
		{"\xff\xfe.txt", "not UTF-8"},
		{`..\..\x`, "w"},
		{strings.Repeat("n", 60_000), "long"},
		{"PK\x03\x04", "PK\x01\x02PK\x03\x04PK\x07\x08"},
	}
	got, err := all(bytes.NewReader(archive(t, want)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	got, err = all(iotestOne{bytes.NewReader(archive(t, want))})
	if err != nil || len(got) != len(want) {
		t.Errorf("byte by byte: %d entries, %v", len(got), err)
	}
}

// iotestOne gives one byte at a time.
type iotestOne struct{ r io.Reader }

func (o iotestOne) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), 1)]) }

func TestEntriesThatAreNotReadArePassedOver(t *testing.T) {
	r := unzip.NewReader(bytes.NewReader(archive(t, []entry{{"a", strings.Repeat("a", 1<<20)}, {"b", "text of b"}})))
	for _, want := range []string{"a", "b"} {
		name, content, err := r.Next()
		if err != nil || name != want {
			t.Fatalf("entry %q, %v", name, err)
		}
		if text, err := io.ReadAll(content); want == "b" && (err != nil || string(text) != "text of b") {
			t.Errorf("b = %q, %v", text, err)
		}
	}
}

func TestAnArchiveThatIsCutOffIsNoWholeOne(t *testing.T) {
	whole := archive(t, []entry{{"a", strings.Repeat("some text ", 1000)}, {"b", "x"}})
	directory := bytes.Index(whole, []byte("PK\x01\x02"))
	for n := range directory + 3 {
		if _, err := all(bytes.NewReader(whole[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut after %d of %d bytes: %v", n, len(whole), err)
		}
	}
}

// raw is an entry as it is, with what its header says.
func raw(name string, flags, method uint16, sum, size uint32, data []byte) []byte {
	var b bytes.Buffer
	for _, v := range []any{uint32(0x04034b50), uint16(20), flags, method, uint32(0), sum, size, size, uint16(len(name)), uint16(0)} {
		_ = binary.Write(&b, binary.LittleEndian, v)
	}
	b.WriteString(name)
	b.Write(data)
	return b.Bytes()
}

func deflated(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 9)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const end = "PK\x05\x06"

func TestStoredEntriesAndEveryFormOfDescriptor(t *testing.T) {
	const text = "the log\n"
	sum := crc32.ChecksumIEEE([]byte(text))
	le := binary.LittleEndian
	sizes := func(wide bool) []byte {
		if wide {
			return le.AppendUint64(le.AppendUint64(nil, 9), 8)
		}
		return le.AppendUint32(le.AppendUint32(nil, 9), 8)
	}
	var b []byte
	b = append(b, raw("stored", 0, 0, sum, uint32(len(text)), []byte(text))...)
	b = append(b, raw("packed", 0, 8, sum, 0, deflated(t, text))...)
	for _, signed := range []bool{true, false} {
		for _, wide := range []bool{true, false} {
			b = append(b, raw("described", 8, 8, 0, 0, deflated(t, text))...)
			if signed {
				b = append(b, "PK\x07\x08"...)
			}
			b = append(le.AppendUint32(b, sum), sizes(wide)...)
		}
	}
	b = append(b, "PK\x01\x02 and so on, as a directory does"...)
	got, err := all(bytes.NewReader(b))
	if err != nil || len(got) != 6 {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	for _, e := range got {
		if e.Text != text {
			t.Errorf("%s = %q", e.Name, e.Text)
		}
	}
}

func TestBadArchivesAreRefusedByName(t *testing.T) {
	sum := crc32.ChecksumIEEE([]byte("x"))
	many := bytes.Repeat(raw("n", 0, 0, sum, 1, []byte("x")), 20_001)
	for name, data := range map[string][]byte{
		"no archive":                         []byte("<html>not found</html>"),
		"an encrypted entry":                 raw("n", 1, 8, 0, 0, nil),
		"a method that nobody knows":         raw("n", 0, 99, 0, 0, nil),
		"stored, of a size that comes later": raw("n", 8, 0, 0, 0, []byte("x")),
		"stored, of a size beyond all":       raw("n", 0, 0, 0, 0xffffffff, []byte("x")),
		"another checksum":                   append(raw("n", 0, 0, sum+1, 1, []byte("x")), end...),
		"bytes that do not unpack":           append(raw("n", 0, 8, 0, 0, []byte("\xff\xff\xff\xff\xff\xff\xff\xff")), end...),
		"more entries than anybody has":      append(many, end...),
		"no end of an entry":                 append(raw("n", 8, 8, 0, 0, deflated(t, "x")), bytes.Repeat([]byte("?"), 40)...),
	} {
		_, err := all(bytes.NewReader(data))
		if reason, _ := fault.Reason(err); reason != "bad_archive" {
			t.Errorf("%s: %v, want bad_archive", name, err)
		}
	}
}

// bomb is an archive whose first entry unpacks to 64 MiB, a thousand times its size, and whose second is the log.
func bomb(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	w, err := zw.Create("0_zeros.txt")
	if err != nil {
		t.Fatal(err)
	}
	for chunk, left := make([]byte, 1<<20), 64; left > 0; left-- {
		_, _ = w.Write(chunk)
	}
	w, err = zw.Create("1_log.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, "the log")
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestABombAndAHugeDirectoryTakeLittleMemory(t *testing.T) {
	data := bomb(t)
	last := ""
	peak := joblogtest.Peak(func() {
		for r := unzip.NewReader(bytes.NewReader(data)); ; {
			name, _, err := r.Next()
			if err != nil {
				if !unzip.IsEnd(err) {
					t.Error(err)
				}
				return
			}
			last = name
		}
	})
	if last != "1_log.txt" || peak > 8<<20 {
		t.Errorf("the last entry is %q; %d bytes of archive took %d bytes of memory", last, len(data), peak)
	}
	// A directory is never looked at: the standard library would hold it all.
	entryOfDirectory := append([]byte("PK\x01\x02"), make([]byte, 42)...)
	huge := io.MultiReader(bytes.NewReader(raw("n", 0, 0, crc32.ChecksumIEEE([]byte("x")), 1, []byte("x"))), bytes.NewReader(bytes.Repeat(entryOfDirectory, 1_000_000)))
	peak = joblogtest.Peak(func() {
		if got, err := all(huge); err != nil || len(got) != 1 {
			t.Errorf("%d entries, %v", len(got), err)
		}
	})
	if peak > 8<<20 {
		t.Errorf("a directory of a million entries took %d bytes of memory", peak)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("PK\x03\x04"))
	f.Add([]byte(end))
	f.Add(raw("n", 0, 0, crc32.ChecksumIEEE([]byte("x")), 1, []byte("x")))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := all(bytes.NewReader(data))
		if err == nil && len(entries) > len(data)/30 {
			t.Errorf("%d entries in %d bytes", len(entries), len(data))
		}
	})
}

func TestRandomBytesInTheMiddleNeverGiveAWrongText(t *testing.T) {
	text := strings.Repeat("an honest line of a log\n", 500)
	whole := archive(t, []entry{{"a", text}})
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		data := bytes.Clone(whole)
		data[rng.IntN(bytes.Index(data, []byte("PK\x01\x02")))] ^= byte(1 + rng.IntN(255))
		entries, err := all(bytes.NewReader(data))
		if err == nil && len(entries) == 1 && entries[0].Text != text {
			t.Fatal("a broken archive gave another text without an error")
		}
	}
}
