package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/minisign"
	"github.com/sre-agent/sre-agent/internal/receipt"
)

const page = "../../../docs/pull-requests.md"

func TestThePageHasTheExamplesOfToday(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(bytes.NewReader(text), &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), out.String()); diff != "" {
		t.Errorf("make generate writes it again:\n%s", diff)
	}
}

func TestAPageWithoutAnExampleIsAnError(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"none": "text", "an unknown one": "<!-- example: x -->\n<!-- end -->", "no end": "<!-- example: tool -->",
	} {
		if err := run(strings.NewReader(text), &bytes.Buffer{}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestTheReceiptOfThePageHolds(t *testing.T) {
	t.Parallel()
	all, err := examples()
	if err != nil {
		t.Fatal(err)
	}
	key, err := minisign.ParsePublicKey(all["public key"])
	if err != nil {
		t.Fatal(err)
	}
	signed, err := receipt.FromComment(all["receipt"])
	if err != nil || !receipt.Verify(signed, receipt.Asked{Key: key, Diff: []byte(diff)}).OK {
		t.Errorf("%v, %+v", err, receipt.Verify(signed, receipt.Asked{Key: key, Diff: []byte(diff)}))
	}
}
