package publisher_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/services/publisher"
)

// asApp is a publisher that is a GitHub App, configured from the environment as in production. The double's API is
// below /api/v3 and its git beside it, as those of GitHub Enterprise Server are.
func (r *rig) asApp(environ map[string]string) (*publisher.Service, *publisher.Mirrors) {
	r.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		r.t.Fatal(err)
	}
	file := filepath.Join(r.t.TempDir(), "app.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.forge.InstallApp(forgetest.App{
		ID: "Iv23li", Key: &key.PublicKey, Owners: []string{"acme", robot},
		Permissions: map[string]string{"contents": "write", "pull_requests": "write", "checks": "read", "statuses": "read", "actions": "write", "workflows": "write"},
	})
	for name, value := range map[string]string{
		"GITHUB_APP_ID": "Iv23li", "GITHUB_APP_PRIVATE_KEY_FILE": file, "GITHUB_API_URL": r.forge.URL() + "/api/v3", "GITHUB_GIT_URL": r.forge.URL(),
		"NATS_URL": "nats://127.0.0.1:4222", "DATABASE_URL": "postgres://db/x",
	} {
		environ[name] = value
	}
	cfg, err := config.Load(config.Publisher, environ)
	if err != nil {
		r.t.Fatal(err)
	}
	writers, err := publisher.Writers(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	s := r.publisher()
	s.Target = publisher.ViaFork(cfg.PublishForkOwner, publisher.Targets(origin.Forges(cfg), writers))
	mirrors := s.Git.(*publisher.Mirrors) //nolint:forcetypeassert // publisher made it
	mirrors.Remote, mirrors.ForkOwner = publisher.Remotes(writers), cfg.PublishForkOwner
	return s, mirrors
}

// processes looks for the App's tokens in the command line and the environment of every process there is.
func (r *rig) processes() (leaks []string) {
	for _, kind := range []string{"cmdline", "environ"} {
		files, _ := filepath.Glob("/proc/[0-9]*/" + kind)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err == nil && strings.Contains(string(text), "ghs_installationtoken") {
				leaks = append(leaks, file)
			}
		}
	}
	return leaks
}

// files looks for the App's tokens in everything below a folder.
func files(t *testing.T, dir string) (seen int, leaks []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		seen++
		if strings.Contains(string(text), "ghs_installationtoken") {
			leaks = append(leaks, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen, leaks
}

func TestAnAppPublishesWithATokenThatIsSeenNowhere(t *testing.T) {
	direct := map[string]string{"contents": "write", "pull_requests": "write", "checks": "read", "statuses": "read"}
	base := map[string]string{"contents": "read", "pull_requests": "write", "checks": "read", "statuses": "read"}
	for name, tc := range map[string]struct {
		environ map[string]string
		head    string
		grants  []forgetest.Grant
	}{
		"to a branch of the repository": {
			map[string]string{}, "", []forgetest.Grant{{Owner: "acme", Repositories: []string{"hello"}, Permissions: direct}},
		},
		"to a fork": {
			map[string]string{"PUBLISH_VIA": "fork", "PUBLISH_FORK_OWNER": robot}, robot, []forgetest.Grant{
				{Owner: "acme", Repositories: []string{"hello"}, Permissions: base},
				{Owner: robot, Repositories: []string{"hello"}, Permissions: map[string]string{"contents": "write"}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			if tc.head != "" {
				if _, err := r.forge.Fork("acme", "hello", robot); err != nil {
					t.Fatal(err)
				}
			}
			s, mirrors := r.asApp(tc.environ)
			var pushes int
			r.forge.SetFault(func(req *http.Request) *forgetest.Fault {
				if pushing(req) { // git waits for the answer meanwhile
					pushes++
					if leaks := r.processes(); len(leaks) > 0 {
						t.Errorf("the token is in %v", leaks)
					}
				}
				return nil
			})
			got := r.publish(s)
			prs := r.prs()
			if got.State != "published" || len(prs) != 1 || prs[0].HeadOwner != tc.head || pushes == 0 {
				t.Fatalf("%s(%s) %s, %+v, %d pushes", got.State, got.Reason, got.Explanation, prs, pushes)
			}
			if diff := cmp.Diff(tc.grants, r.forge.Grants(), cmpopts.IgnoreFields(forgetest.Grant{}, "Token", "Expires")); diff != "" {
				t.Errorf("tokens (-want +got):\n%s", diff)
			}
			if seen, leaks := files(t, mirrors.Dir); seen == 0 || len(leaks) > 0 {
				t.Errorf("of %d files, these hold the token: %v", seen, leaks)
			}
			r.hidesTokens(s)
		})
	}
}

// hidesTokens looks for them in the log and in the rows.
func (r *rig) hidesTokens(_ *publisher.Service) {
	r.t.Helper()
	got := r.state(r.run.ID)
	pub, err := r.st.Publication(r.t.Context(), r.run.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	if text := r.tel.Logs() + fmt.Sprintf("%+v %+v", got, pub); strings.Contains(text, "ghs_") || strings.Contains(text, "PRIVATE KEY") {
		r.t.Errorf("a log or a row shows a token:\n%s", text)
	}
}

func TestAPushThatAnAppMayNotIsNamedAndHidesTheToken(t *testing.T) {
	for name, tc := range map[string]struct {
		fault forgetest.Fault
	}{
		"the push is refused":            {forgetest.Fault{Status: http.StatusForbidden, Body: "ghs_installationtoken00000000 may not"}},
		"the push fails inside the host": {forgetest.Fault{Status: http.StatusInternalServerError, Body: "ghs_installationtoken00000000 broke"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			s, _ := r.asApp(map[string]string{})
			hit := r.failOnce(tc.fault, pushing)
			got := r.publish(s)
			if !hit() {
				t.Error("nothing was pushed")
			}
			if n := len(r.prs()); n > 1 || (got.State == "published") != (n == 1) {
				t.Errorf("%s(%s), %d pull requests", got.State, got.Reason, n)
			}
			r.hidesTokens(s)
		})
	}
}

// The pieces of a push's way, again with a clock of an hour: a mirror that is opened late has a token that is good.
func TestAnAppsTokenForGitIsTheAPIs(t *testing.T) {
	r := newRig(t)
	s, mirrors := r.asApp(map[string]string{})
	at, err := s.Target(r.run.Failure)
	if err != nil {
		t.Fatal(err)
	}
	remote, err := mirrors.Remote(t.Context(), at.Place)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := at.Forge.BranchHead(t.Context(), "acme", "hello", "main"); err != nil {
		t.Fatal(err)
	}
	grants := r.forge.Grants()
	if len(grants) != 1 || grants[0].Token != remote.Token || time.Until(grants[0].Expires) < 50*time.Minute {
		t.Errorf("%d tokens, %+v", len(grants), grants)
	}
}
