package plaingit

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const (
	mailTime = time.Minute
	tlsPort  = "465"
	mailLine = 76
)

// Mail sends patches through a mail server, to one address.
type Mail struct {
	// Server is host:port. From and To are plain addresses.
	Server, From, To string
	// User and Password are for a server that wants them; they are sent by TLS alone, unless the server is on this machine.
	User, Password string
}

// Send implements Sender. If the answer to the whole mail is lost, it may have been taken: the error is temporary, and the
// next try has the same Message-ID.
func (m *Mail) Send(ctx context.Context, id string, patch []byte) error {
	message, err := m.message(id, patch)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, mailTime)
	defer cancel()
	if err := m.deliver(ctx, message); err != nil {
		return m.classify(err)
	}
	return nil
}

func (m *Mail) deliver(ctx context.Context, message []byte) error {
	host, port, err := net.SplitHostPort(m.Server)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", m.Server)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	settings := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if port == tlsPort {
		conn = tls.Client(conn, settings)
	}
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	defer func() { _ = c.Close() }()
	if offered, _ := c.Extension("STARTTLS"); offered && port != tlsPort {
		if err := c.StartTLS(settings); err != nil {
			return err
		}
	}
	if m.User != "" {
		if err := c.Auth(smtp.PlainAuth("", m.User, m.Password, host)); err != nil {
			return err
		}
	}
	return m.converse(c, message)
}

func (m *Mail) converse(c *smtp.Client, message []byte) error {
	if err := c.Mail(m.From); err != nil {
		return err
	}
	if err := c.Rcpt(m.To); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(message); err != nil {
		return err
	}
	if err := w.Close(); err != nil { // here the server takes the mail, or does not
		return err
	}
	_ = c.Quit()
	return nil
}

// credentialCodes are refusals of who we are, or of how we say it (RFC 4954, section 6).
var credentialCodes = []int{530, 534, 535, 538} //nolint:gochecknoglobals // a constant

// classify makes a refusal of the server permanent (RFC 5321, 4.2.1), and everything else temporary.
func (m *Mail) classify(err error) error {
	text := err.Error()
	if m.Password != "" {
		sent := base64.StdEncoding.EncodeToString([]byte("\x00" + m.User + "\x00" + m.Password))
		text = strings.NewReplacer(m.Password, "[password]", sent, "[password]").Replace(text)
	}
	var said *textproto.Error
	if errors.As(err, &said) && slices.Contains(credentialCodes, said.Code) {
		return fault.Permf("unauthorized", "the mail server does not take SMTP_USER and SMTP_PASSWORD: %.300s", text)
	}
	if errors.As(err, &said) && said.Code >= 500 {
		return fault.Permf("pull_request_rejected", "the mail server refuses: %.300s", text)
	}
	return &httpapi.RetryError{Op: "SMTP " + m.Server, Message: text}
}

// message makes a mail of a patch whose first line is gone: its author, date and subject stay, and the rest is encoded,
// so that no server on the way changes a line of it. git am takes it as it is.
func (m *Mail) message(id string, patch []byte) ([]byte, error) {
	at := bytes.Index(patch, []byte("\n\n"))
	parsed, err := mail.ReadMessage(bytes.NewReader(patch))
	if err != nil || at < 0 {
		return nil, fault.Permf("pull_request_rejected", "the patch is not in mail format")
	}
	var b bytes.Buffer
	for _, h := range [][2]string{
		{"From", parsed.Header.Get("From")},
		{"To", m.To},
		{"Date", parsed.Header.Get("Date")},
		{"Subject", parsed.Header.Get("Subject")},
		{"Message-ID", "<" + id + "@sre-agent.invalid>"},
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "base64"},
	} {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], strings.NewReplacer("\r", "", "\n", "").Replace(h[1]))
	}
	b.WriteString("\r\n")
	text := base64.StdEncoding.EncodeToString(patch[at+2:])
	for len(text) > 0 {
		n := min(len(text), mailLine)
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	return b.Bytes(), nil
}
