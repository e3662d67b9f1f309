package publisher_test

import (
	"io"
	"net"
	"net/mail"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/watch"
	"github.com/sre-agent/sre-agent/services/publisher"
	"github.com/sre-agent/sre-agent/streams"
)

const postUser, postPassword = "robot", "a-password-of-the-post"

// postOffice is a mail server that takes everything.
type postOffice struct {
	ln   net.Listener
	mu   sync.Mutex
	got  []string
	drop int    // so many mails are taken without an answer
	deny string // what the next recipients are answered
	asks bool   // who sends; it takes nobody's word
}

func newPostOffice(t *testing.T) *postOffice {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &postOffice{ln: ln}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); all.Wait() })
	return p
}

// serve speaks the server's side of RFC 5321 as far as a client without extensions needs it.
func (p *postOffice) serve(conn net.Conn) {
	c := textproto.NewConn(conn)
	defer func() { _ = c.Close() }()
	_ = c.PrintfLine("220 post.example")
	for {
		line, err := c.ReadLine()
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.Fields(line + " x")[0]); verb {
		case "DATA":
			_ = c.PrintfLine("354 go on")
			text, err := io.ReadAll(c.DotReader())
			if err != nil || !p.take(string(text)) {
				return
			}
			_ = c.PrintfLine("250 taken")
		case "EHLO":
			_ = c.PrintfLine("250 AUTH PLAIN")
		case "AUTH":
			_ = c.PrintfLine("535 %s with %s is not %s", line, postPassword, postUser)
		case "RCPT":
			_ = c.PrintfLine("%s", p.answer())
		case "QUIT":
			_ = c.PrintfLine("221 bye")
			return
		default:
			_ = c.PrintfLine("250 fine")
		}
	}
}

func (p *postOffice) answer() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.deny != "" {
		return p.deny
	}
	return "250 fine"
}

func (p *postOffice) take(text string) (answered bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, text)
	p.drop--
	return p.drop < 0
}

func (p *postOffice) mails() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.got...)
}

// onPlainGit has the publisher take the rig's git for a server that is no forge.
func (r *rig) onPlainGit(post *postOffice) (folder string) {
	r.t.Helper()
	folder = filepath.Join(r.t.TempDir(), "patches")
	environ := map[string]string{
		"GITHUB_WRITE_TOKEN": "unused", "NATS_URL": "nats://127.0.0.1:4222", "DATABASE_URL": "postgres://db/x",
		"PLAIN_GIT_URL": r.forge.URL(), "PLAIN_GIT_WRITE_TOKEN": token, "PLAIN_GIT_PATCH_DIR": folder,
	}
	if post != nil {
		environ["PLAIN_GIT_MAIL_TO"], environ["SMTP_ADDRESS"] = "patches@example.com", post.ln.Addr().String()
		if post.asks {
			environ["SMTP_USER"], environ["SMTP_PASSWORD"] = postUser, postPassword
		}
	}
	cfg, err := config.Load(config.Publisher, environ)
	if err != nil {
		r.t.Fatal(err)
	}
	writers, err := publisher.Writers(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	mirrors := r.Git.(*publisher.Mirrors) //nolint:forcetypeassert // publisher made it
	mirrors.Remote = publisher.Remotes(writers)
	publisher.AddPlainGit(writers, cfg, mirrors)
	targets := publisher.Targets(origin.Forges(cfg), writers)
	r.Target = func(f ci.Failure) (publisher.Target, error) {
		f.Provider, f.Repository.CloneURL = "jenkins", r.forge.URL()+"/acme/hello.git"
		return targets(f)
	}
	return folder
}

// applies has a person take a patch on the base, and compares what that gives with what was pushed.
func (r *rig) applies(name, text string) {
	r.t.Helper()
	file := filepath.Join(r.t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	head, err := r.forge.BranchHead("acme", "hello", r.branch())
	if err != nil || head == "" {
		r.t.Fatalf("nothing was pushed: %v", err)
	}
	r.git("checkout", "-q", "--detach", r.commit)
	r.git("am", "-q", file)
	r.git("fetch", "-q", r.url(), head)
	if got := r.git("diff", "HEAD", head) + r.git("diff", "--shortstat", r.commit, "HEAD"); got != "1 file changed, 1 insertion(+), 1 deletion(-)" {
		r.t.Errorf("git am gives something else: %s", got)
	}
	if mine, theirs := r.git("log", "-1", "--format=%an %ae %at %B", "HEAD"), r.git("log", "-1", "--format=%an %ae %at %B", head); mine != theirs {
		r.t.Errorf("git am's commit says %q, ours %q", mine, theirs)
	}
}

func patches(t *testing.T, folder string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "acme", "hello", "*.patch*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAFixForARepositoryOnNoForgeIsPushedAndItsPatchIsWritten(t *testing.T) {
	r := newRig(t)
	folder := r.onPlainGit(nil)
	if got := r.publish(r.Service); got.State != "published" {
		t.Fatalf("%s(%s): %s", got.State, got.Reason, got.Explanation)
	}
	found := patches(t, folder)
	if len(found) != 1 || len(r.prs()) != 0 {
		t.Fatalf("patches %v, pull requests %d", found, len(r.prs()))
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "| greeter: Greet the world") {
		t.Errorf("it does not say why:\n%s", text)
	}
	r.applies("file.patch", string(text))
}

func TestAPatchIsMailedOnceMoreWhenTheAnswerIsLostAndWrittenOnce(t *testing.T) {
	r := newRig(t)
	post := newPostOffice(t)
	post.drop = 1
	folder := r.onPlainGit(post)
	if got := r.publish(r.Service); got.State != "published" {
		t.Fatalf("%s(%s): %s", got.State, got.Reason, got.Explanation)
	}
	mails := post.mails()
	if len(mails) != 2 || mails[0] != mails[1] || len(patches(t, folder)) != 1 {
		t.Fatalf("%d mails, patches %v; want the same mail twice, and one patch", len(mails), patches(t, folder))
	}
	m, err := mail.ReadMessage(strings.NewReader(mails[0]))
	if err != nil || m.Header.Get("To") != "patches@example.com" || !strings.Contains(m.Header.Get("From"), "sre-agent@example.org") || m.Header.Get("Message-ID") == "" {
		t.Errorf("%v, %v", m, err)
	}
	r.applies("mail.eml", mails[0])
}

func TestAMailServerThatRefusesEndsTheRunAndOneThatIsAwayDoesNot(t *testing.T) {
	r := newRig(t)
	post := newPostOffice(t)
	post.deny = "550 no such box"
	folder := r.onPlainGit(post)
	got := r.publish(r.Service)
	if got.State != "blocked" || got.Reason != "pull_request_rejected" || len(patches(t, folder)) != 0 {
		t.Errorf("%s(%s): %s, %v", got.State, got.Reason, got.Explanation, patches(t, folder))
	}
	r = newRig(t)
	post = newPostOffice(t)
	post.deny = "451 later"
	r.onPlainGit(post)
	r.Handle(t.Context(), &streams.Message{Type: streams.TypeFix, RunID: r.run.ID, Fence: r.run.Fence})
	m := r.state(r.run.ID)
	if m.State != "fixed" || m.Explanation == "" {
		t.Errorf("%s(%s): %s", m.State, m.Reason, m.Explanation)
	}
}

func TestAWrongPasswordForTheMailServerIsNamedAndNotShown(t *testing.T) {
	r := newRig(t)
	post := newPostOffice(t)
	post.asks = true
	r.onPlainGit(post)
	got := r.publish(r.Service)
	text := got.Explanation + r.tel.Logs()
	if got.Reason != "unauthorized" || !strings.Contains(text, "SMTP_PASSWORD") || !strings.Contains(text, "535") || strings.Contains(text, postPassword) || strings.Contains(text, "AHJvYm90") {
		t.Errorf("%s(%s): %s", got.State, got.Reason, text)
	}
}

// A person's no, by the name of the file.
func TestAPatchThatAPersonClosedIsNotWrittenAgain(t *testing.T) {
	r := newRig(t)
	folder := r.onPlainGit(nil)
	r.publish(r.Service)
	found := patches(t, folder)
	if err := os.Rename(found[0], found[0]+".closed"); err != nil {
		t.Fatal(err)
	}
	r.again()
	if got := r.publish(r.Service); got.State != "blocked" || got.Reason != "pull_request_closed" || len(patches(t, folder)) != 1 {
		t.Errorf("%s(%s): %s, patches %v", got.State, got.Reason, got.Explanation, patches(t, folder))
	}
}

// TestAPatchIsWatchedByItsFilesName: a server that is no forge has no comments, labels or checks.
func TestAPatchIsWatchedByItsFilesName(t *testing.T) {
	r := newRig(t)
	folder := r.onPlainGit(nil)
	r.publish(r.Service)
	w := &watched{rig: r, watcher: r.watching()}
	mirrors := r.Git.(*publisher.Mirrors) //nolint:forcetypeassert // publisher made it
	w.watcher.Target, w.watcher.History, w.watcher.Settings = r.Target, mirrors, mirrors
	file := patches(t, folder)[0]
	for _, step := range []struct {
		from, to, state string
		refused         bool
	}{
		{"", "", watch.Open, false},
		{"", ".closed", watch.Closed, true},
		{".closed", "", watch.Open, false},
		{"", ".applied", watch.Merged, false},
	} {
		w.do(os.Rename(file+step.from, file+step.to))
		w.look()
		if got := w.row(); got.PrState != step.state || w.refused() != step.refused || got.Problem != "" {
			t.Errorf("%q is %s, refused %v, %s", step.to, got.PrState, w.refused(), got.Problem)
		}
	}
	if strings.Contains(r.tel.Logs(), "passed over") {
		t.Error("what it does not have is complained about")
	}
}

func TestAPatchIsClosedWhenItsRepositoryWantsNothing(t *testing.T) {
	r := newRig(t)
	folder := r.onPlainGit(nil)
	r.publish(r.Service)
	w := &watched{rig: r, watcher: r.watching()}
	mirrors := r.Git.(*publisher.Mirrors) //nolint:forcetypeassert // publisher made it
	w.watcher.Target, w.watcher.History, w.watcher.Settings = r.Target, mirrors, mirrors
	w.write(".sre-agent.yaml", "version: 1\nmode: off\n")
	w.push("main", "leave us alone")
	w.look()
	if got := patches(t, folder); !strings.HasSuffix(got[0], ".patch.closed") || w.row().PrState != watch.Closed || w.refused() {
		t.Errorf("%v: %+v", got, w.row())
	}
}
