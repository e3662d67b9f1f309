package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/minisign"
	"github.com/sre-agent/sre-agent/internal/receipt"
)

func (a *app) receiptCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "receipt", Short: "Make keys for receipts", RunE: group}
	var out string
	keygen := &cobra.Command{
		Use: "keygen", Short: "Make a key pair that signs receipts", Args: cobra.NoArgs,
		Long: "Write a new secret key without a password to FILE, for RECEIPT_KEY_FILE, and its public key to FILE.pub, both in minisign's form. " +
			"A file that is there is never written over.\n\n" + exitCodes,
		RunE: func(*cobra.Command, []string) error {
			if out == "" {
				return &usageError{"--out is required: the file for the secret key"}
			}
			return a.makeReceiptKey(out)
		},
	}
	keygen.Flags().StringVar(&out, "out", "", "the file for the secret key (required)")
	cmd.AddCommand(keygen)
	return cmd
}

func (a *app) makeReceiptKey(out string) error {
	random := make([]byte, 40)
	_, _ = rand.Read(random) // it never fails: see its documentation
	key, err := minisign.New(random)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name, text string
		mode       os.FileMode
	}{{out, key.Text(), 0o600}, {out + ".pub", key.Public().Text(), 0o644}} {
		file, err := os.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode)
		if err != nil {
			return err
		}
		_, err = file.WriteString(f.text)
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
	a.terminal().printf("The secret key is in %s, and the public key %s in %s.pub.\n", visible(out), key.Public().ID(), visible(out))
	return nil
}

// verifying is what sre-agent verify was asked.
type verifying struct {
	what, key, diff, signature, token string
	asJSON                            bool
}

func (a *app) verifyCommand() *cobra.Command {
	var v verifying
	cmd := &cobra.Command{
		Use: "verify FILE|PR-URL", Short: "Check the receipt of a pull request", Args: cobra.ExactArgs(1),
		Long: "Check the signed receipt of a pull request, and say what each of its digests is of.\n\n" +
			"A FILE (- is standard input) is the text of the comment that has the receipt, or the receipt alone with its signature in FILE.minisig; " +
			"the network is not used. Of a PR-URL the comments are read, by the forge's API, and the rest is done here. docs/pull-requests.md has the form.\n\n" +
			"The exit code is 1 when something does not hold.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			v.what = args[0]
			return a.verify(cmd.Context(), cmd.InOrStdin(), v)
		},
	}
	cmd.Flags().StringVar(&v.key, "public-key", "", "the file with the public key (required)")
	cmd.Flags().StringVar(&v.diff, "diff", "", "a file with the diff that the receipt should be for")
	cmd.Flags().StringVar(&v.signature, "signature", "", "the file with the signature, if it is not FILE.minisig")
	cmd.Flags().StringVar(&v.token, "token-file", "", "a file with a token that may read the pull request")
	cmd.Flags().BoolVar(&v.asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) verify(ctx context.Context, stdin io.Reader, v verifying) error {
	if v.key == "" {
		return &usageError{"--public-key is required: the file with the public key"}
	}
	text, err := os.ReadFile(v.key)
	if err != nil {
		return &usageError{err.Error()}
	}
	asked := receipt.Asked{}
	if asked.Key, err = minisign.ParsePublicKey(string(text)); err != nil {
		return &usageError{v.key + ": " + err.Error()}
	}
	if v.diff != "" {
		if asked.Diff, err = os.ReadFile(v.diff); err != nil {
			return &usageError{err.Error()}
		}
		asked.Diff = append([]byte{}, asked.Diff...) // an empty file is a diff too
	}
	var rep receipt.Report
	if strings.HasPrefix(v.what, "https://") || strings.HasPrefix(v.what, "http://") {
		rep, err = a.verifyPullRequest(ctx, v, asked)
	} else {
		var signed receipt.Signed
		signed, err = readSigned(stdin, v)
		rep = receipt.Verify(signed, asked)
	}
	if err != nil {
		return err
	}
	return a.showReceipt(rep, v.asJSON)
}

// readSigned reads a receipt with its signature beside it, or a comment that has both.
func readSigned(stdin io.Reader, v verifying) (receipt.Signed, error) {
	if v.what == "-" {
		text, err := io.ReadAll(io.LimitReader(stdin, receipt.MaxComment+1))
		if err != nil {
			return receipt.Signed{}, err
		}
		return receipt.FromComment(string(text))
	}
	text, err := os.ReadFile(v.what)
	if err != nil {
		return receipt.Signed{}, err
	}
	beside := v.signature
	if beside == "" {
		beside = v.what + ".minisig"
	}
	minisig, err := os.ReadFile(beside)
	if errors.Is(err, os.ErrNotExist) && v.signature == "" {
		return receipt.FromComment(string(text))
	}
	return receipt.Signed{Text: []byte(strings.TrimRight(string(text), "\r\n")), Minisig: string(minisig)}, err
}

var errReceipt = errors.New("the receipt does not hold")

func (a *app) showReceipt(rep receipt.Report, asJSON bool) error {
	out := a.terminal()
	if asJSON {
		if err := printJSON(a.stdout, rep); err != nil {
			return err
		}
	} else {
		for _, c := range rep.Checks {
			mark := out.green("ok    ")
			if !c.OK {
				mark = out.red("FAILED")
			}
			out.printf("%s  %s: %s\n", mark, c.Name, visible(c.Detail))
		}
		a.showDigests(rep)
	}
	if !rep.OK {
		return errReceipt
	}
	return nil
}

func (a *app) showDigests(rep receipt.Report) {
	if rep.Receipt == nil {
		return
	}
	out, r := a.terminal(), *rep.Receipt
	out.printf("\n%s\nrun %s, branch %s, made by %s at %s\n", visible(r.PR), visible(r.RunKey), visible(r.Branch), visible(r.Fixer.Name), r.MadeAt)
	out.printf("policy: %s, danger score %d; event %s of %s\n\n", visible(r.Policy.Class), r.Policy.Danger, visible(r.Event.Delivery), visible(r.Event.Provider))
	for _, d := range rep.Digests {
		out.printf("%s\n    %s: %s\n", visible(d.Digest), d.Name, visible(d.Of))
	}
}
