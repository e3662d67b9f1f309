package publisher_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/minisign"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/receipt"
	"github.com/sre-agent/sre-agent/services/publisher"
)

// signing is a publisher that leaves receipts.
func (r *rig) signing() (*publisher.Service, minisign.SecretKey) {
	r.t.Helper()
	key, err := minisign.New(bytes.Repeat([]byte{5}, 40))
	if err != nil {
		r.t.Fatal(err)
	}
	s := r.publisher()
	s.Receipts = &publisher.Receipts{Store: r.st, Key: key, Rules: receipt.Digest([]byte("rules"))}
	return s, key
}

func commenting(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/comments")
}

func TestAPullRequestIsLabelledAndHasItsReceipt(t *testing.T) {
	r := newRig(t)
	s, key := r.signing()
	got := r.publish(s)
	pr := r.prs()[0]
	if diff := cmp.Diff([]string{"sre-agent", "safe"}, pr.Labels); diff != "" || len(pr.Comments) != 1 {
		t.Fatalf("%s, %d comments", diff, len(pr.Comments))
	}
	signed, err := receipt.FromComment(pr.Comments[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	rep := receipt.Verify(signed, receipt.Asked{Key: key.Public(), Diff: []byte(diff), PR: pr.URL})
	if !rep.OK {
		t.Fatalf("%+v", rep)
	}
	said := *rep.Receipt
	if said.Commit != pr.HeadSHA || said.BaseCommit != r.commit || said.Diff != patch.Digest([]byte(diff)) || said.RunKey != got.RunKey ||
		said.Event.Delivery != "d1" || !strings.HasSuffix(said.Event.Body, "0001") || said.Sandbox.Before.ExitCode != 1 || said.Policy.Rules != receipt.Digest([]byte("rules")) {
		t.Errorf("%+v", said)
	}
	h, err := r.st.History(t.Context(), got.ID)
	if err != nil || *h.Publication.Receipt != string(signed.Text) || *h.Publication.ReceiptMinisig != signed.Minisig {
		t.Errorf("on record is %v, %v", h.Publication.Receipt, err)
	}
}

// TestAReceiptIsThereOnce: whoever comes after a crash before the run's end finds it, whatever became of the reply.
func TestAReceiptIsThereOnce(t *testing.T) {
	for name, after := range map[string]bool{"after the comment": true, "before the comment": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			dead, _ := r.signing()
			ctx, crash := context.WithCancel(t.Context())
			r.failOnce(forgetest.Fault{Drop: true, AfterEffect: after}, func(req *http.Request) bool {
				if commenting(req) {
					crash()
				}
				return commenting(req)
			})
			dead.Store = crashing{r.st, ctx}
			dead.Handle(ctx, r.doorbell())
			if ctx.Err() == nil {
				t.Fatal("the fault never struck")
			}
			r.exec("update runs set state = 'fixed', holder = null, lease_expires_at = null, not_before = now() where state = 'publishing'")
			s, _ := r.signing()
			got := r.publish(s)
			if got.State != "published" || len(r.prs()) != 1 || len(r.prs()[0].Comments) != 1 {
				t.Errorf("%s(%s), %+v", got.State, got.Reason, r.prs())
			}
		})
	}
}

func TestAReceiptThatIsAnotherNowIsEditedAndNobodyElsesIs(t *testing.T) {
	r := newRig(t)
	s, key := r.signing()
	r.failOnce(lost, creating)
	s.Handle(t.Context(), r.doorbell())
	forged := "<!-- sre-agent receipt=0123 -->\n"
	old := "old\n\n<!-- sre-agent receipt=" + key.Token("receipt of "+r.prs()[0].URL) + " -->\n"
	for _, body := range []string{forged, old} {
		if _, err := r.hub.Comment(t.Context(), "acme", "hello", 1, body); err != nil {
			t.Fatal(err)
		}
	}
	r.exec("update runs set not_before = now() where state = 'fixed'")
	if got := r.publish(s); got.State != "published" {
		t.Fatalf("%s(%s)", got.State, got.Reason)
	}
	if all := r.prs()[0].Comments; len(all) != 2 || all[0].Body != forged || !strings.Contains(all[1].Body, "base_commit") {
		t.Errorf("%+v", all)
	}
}

// bare is a forge without labels and comments.
type bare struct{ publisher.Forge }

func (bare) AddLabels(context.Context, string, string, int, []string) error {
	return forge.ErrUnsupported
}

func (bare) Comments(context.Context, string, string, int) ([]forge.Comment, error) {
	return nil, forge.ErrUnsupported
}

func TestWhatCantBeMarkedIsPublishedAllTheSame(t *testing.T) {
	for name, lacks := range map[string]bool{"a forge without labels and comments": true, "a failure": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			s, _ := r.signing()
			if lacks {
				s.Target = r.at(bare{r.hub})
			}
			r.forge.SetFault(func(req *http.Request) *forgetest.Fault {
				if commenting(req) || strings.HasSuffix(req.URL.Path, "/labels") {
					return &forgetest.Fault{Status: http.StatusUnprocessableEntity, Body: `{"message":"no, ` + token + `"}`}
				}
				return nil
			})
			if got := r.publish(s); got.State != "published" || len(r.prs()) != 1 {
				t.Errorf("%s(%s)", got.State, got.Reason)
			}
			warned := strings.Contains(r.tel.Logs(), "the labels") && strings.Contains(r.tel.Logs(), "the receipt")
			if warned == lacks || strings.Contains(r.tel.Logs(), token) {
				t.Errorf("the log says\n%s", r.tel.Logs())
			}
		})
	}
}
