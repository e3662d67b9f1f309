package publisher_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/forge"
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

func TestAPullRequestIsLabelledAndHasItsReceipt(t *testing.T) {
	r := newRig(t)
	s, key := r.signing()
	got := r.publish(s)
	pr := r.prs()[0]
	if diff := cmp.Diff([]string{"sre-agent", "safe"}, r.hub.labels[pr.Number]); diff != "" {
		t.Error(diff)
	}
	if len(r.hub.comments) != 1 {
		t.Fatalf("%d comments", len(r.hub.comments))
	}
	signed, err := receipt.FromComment(r.hub.comments[0].Body)
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
			s, _ := r.signing()
			ctx, crash := context.WithCancel(t.Context())
			r.hub.after, r.hub.say = after, func() error { crash(); return errors.New("kill -9") }
			s.Store = crashing{r.st, ctx}
			s.Handle(ctx, r.doorbell())
			r.exec("update runs set state = 'fixed', holder = null, lease_expires_at = null, not_before = now() where state = 'publishing'")
			s, _ = r.signing()
			if got := r.publish(s); got.State != "published" || len(r.prs()) != 1 || len(r.hub.comments) != 1 {
				t.Errorf("%s(%s), %d pull requests, %d comments", got.State, got.Reason, len(r.prs()), len(r.hub.comments))
			}
		})
	}
}

func TestAReceiptThatIsAnotherNowIsEditedAndNobodyElsesIs(t *testing.T) {
	r := newRig(t)
	s, key := r.signing()
	r.failOnce(lost, creating)
	s.Handle(t.Context(), r.doorbell())
	forged := forge.Comment{ID: "forged", Author: "mallory", Body: "<!-- sre-agent receipt=0123 -->\n"}
	old := forge.Comment{ID: "ours", Author: "sre-agent", Body: "old\n\n<!-- sre-agent receipt=" + key.Token("receipt of "+r.prs()[0].URL) + " -->\n"}
	r.hub.comments = []forge.Comment{forged, old}
	r.exec("update runs set not_before = now() where state = 'fixed'")
	if got := r.publish(s); got.State != "published" {
		t.Fatalf("%s(%s)", got.State, got.Reason)
	}
	if len(r.hub.comments) != 2 || r.hub.comments[0] != forged || !strings.Contains(r.hub.comments[1].Body, "base_commit") {
		t.Errorf("%+v", r.hub.comments)
	}
}

func TestWhatCantBeMarkedIsPublishedAllTheSame(t *testing.T) {
	for name, err := range map[string]error{"a forge without labels": forge.ErrUnsupported, "a failure": errors.New("422 " + token)} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			s, _ := r.signing()
			r.hub.mark = err
			r.hub.say = func() error { return err }
			if got := r.publish(s); got.State != "published" || len(r.prs()) != 1 {
				t.Errorf("%s(%s)", got.State, got.Reason)
			}
			warned := strings.Contains(r.tel.Logs(), "the labels") && strings.Contains(r.tel.Logs(), "the receipt")
			if warned == errors.Is(err, forge.ErrUnsupported) || strings.Contains(r.tel.Logs(), token) {
				t.Errorf("the log says\n%s", r.tel.Logs())
			}
		})
	}
}

// TestLabelsAndReceiptGoOverHTTP has GitHub's client speak to the local forge, whose requests its description checks.
func TestLabelsAndReceiptGoOverHTTP(t *testing.T) {
	r := newRig(t)
	s, key := r.signing()
	s.Target = r.at(plainHub{r.hub})
	r.publish(s)
	pr := r.prs()[0]
	if diff := cmp.Diff([]string{"sre-agent", "safe"}, pr.Labels); diff != "" || len(pr.Comments) != 1 {
		t.Fatalf("%s, %d comments", diff, len(pr.Comments))
	}
	signed, err := receipt.FromComment(pr.Comments[0].Body)
	if err != nil || !receipt.Verify(signed, receipt.Asked{Key: key.Public(), PR: pr.URL}).OK {
		t.Errorf("%v\n%s", err, pr.Comments[0].Body)
	}
}

// plainHub is the hub with its own labels and comments left to the local forge.
type plainHub struct{ *hub }

func (p plainHub) AddLabels(ctx context.Context, owner, name string, number int, labels []string) error {
	return p.Client.AddLabels(ctx, owner, name, number, labels)
}

func (p plainHub) Comments(ctx context.Context, owner, name string, number int) ([]forge.Comment, error) {
	return p.Client.Comments(ctx, owner, name, number)
}

func (p plainHub) Comment(ctx context.Context, owner, name string, number int, body string) (forge.Comment, error) {
	return p.Client.Comment(ctx, owner, name, number, body)
}
