package e2e

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

// canaries are secrets by the variable that brings them into a program: the part that is secret, and nothing else may
// look like.
type canaries struct {
	// environ is what the variables are set to, and of those that only point at a secret.
	environ map[string]string
	values  map[string]string
	// forms are the encodings of each value, by their names.
	forms map[string]map[string]string
}

// newCanaries makes a secret for every secret variable of the configuration; those of given are what they are.
func newCanaries(t *testing.T, given map[string]string) *canaries {
	t.Helper()
	c := &canaries{environ: map[string]string{}, values: map[string]string{}, forms: map[string]map[string]string{}}
	for _, v := range config.Describe() {
		if !v.Secret {
			continue
		}
		value, text := given[v.Name], given[v.Name]
		if value == "" {
			value, text = secretFor(t, v.Name)
		}
		c.values[v.Name], c.environ[v.Name] = value, text
	}
	c.database(t)
	c.redis(t)
	c.creds(t)
	for name, value := range c.values {
		c.forms[name] = encoded(value)
	}
	return c
}

// token is a secret with letters that each encoding writes in its own way.
func token(t *testing.T) string {
	t.Helper()
	b := make([]byte, 20)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b[:10]) + "/+" + hex.EncodeToString(b[10:])
}

// secretFor is a secret, and the variable's text with it in the form that the variable wants.
func secretFor(t *testing.T, name string) (value, text string) {
	t.Helper()
	value = token(t)
	switch name {
	case "GITLAB_WEBHOOK_SECRETS", "GENERIC_WEBHOOK_SECRETS":
		value = base64.RawStdEncoding.EncodeToString([]byte(value[:36]))
		return value, "whsec_" + value
	case "AZURE_DEVOPS_WEBHOOK_TOKENS", "JENKINS_READ_TOKEN":
		return value, "sre-agent:" + value
	case "WEBHOOK_SCOPED_SECRETS":
		return value, "github/somebody/else=" + value
	case "WEBHOOK_SCOPED_TOKENS":
		return value, "jenkins/somebody/else=" + value
	case "NOTIFY_INFO_URLS", "NOTIFY_WARNING_URLS", "NOTIFY_ERROR_URLS":
		return value, "generic://127.0.0.1:1/" + value + "?disabletls=yes"
	case "GITHUB_APP_PRIVATE_KEY":
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		text = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
		return strings.Split(text, "\n")[5], text // a line of its middle
	}
	return value, value
}

// database makes a user with a password of its own, whose URL the programs get.
func (c *canaries) database(t *testing.T) {
	t.Helper()
	admin := testenv.Postgres(t)
	user, password := "canary_"+token(t)[:8], token(t)
	postgresDo(t, admin, "create role "+user+" superuser login password '"+password+"'")
	t.Cleanup(func() { postgresDo(t, admin, "drop role "+user) })
	c.values["DATABASE_URL"], c.environ["DATABASE_URL"] = password, withUser(t, testenv.Postgres(t), user, password)
}

func (c *canaries) redis(t *testing.T) {
	t.Helper()
	base := testenv.RedisURL(t)
	user, password := "canary_"+token(t)[:8], token(t)
	redisDo(t, base, "ACL", "SETUSER", user, "on", ">"+password, "~*", "&*", "+@all")
	t.Cleanup(func() { redisDo(t, base, "ACL", "DELUSER", user) })
	c.values["REDIS_URL"], c.environ["REDIS_URL"] = password, withUser(t, base, user, password)
}

// creds writes a NATS credentials file. The server asks for none, and is shown them all the same.
func (c *canaries) creds(t *testing.T) {
	t.Helper()
	jwt := token(t)
	path := filepath.Join(t.TempDir(), "nats.creds")
	text := "-----BEGIN NATS USER JWT-----\n" + jwt + "\n------END NATS USER JWT------\n\n" +
		"-----BEGIN USER NKEY SEED-----\n" + natsSeed + "\n------END USER NKEY SEED------\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c.environ["NATS_CREDS_FILE"] = path
	c.values["NATS_CREDS_FILE"], c.values["NATS_CREDS_FILE's seed"] = jwt, natsSeed
}

// natsSeed is a user's key that opens nothing.
const natsSeed = "SUAIERIJGAV4QQIAAKSRO4C3BWR4WJORNC4DECU5DBCX5UW6A3NS3MXIVE"

// setUp is a context that holds at the test's end too, when things are put away.
func setUp(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
}

func postgresDo(t *testing.T, address, sql string) {
	t.Helper()
	ctx, cancel := setUp(t)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err == nil {
		_, err = conn.Exec(ctx, sql)
		_ = conn.Close(ctx)
	}
	if err != nil {
		t.Error(err)
	}
}

func redisDo(t *testing.T, address string, args ...any) {
	t.Helper()
	ctx, cancel := setUp(t)
	defer cancel()
	opts, err := redis.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opts)
	defer func() { _ = client.Close() }()
	if err := client.Do(ctx, args...).Err(); err != nil {
		t.Error(err)
	}
}

func withUser(t *testing.T, address, user, password string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, password)
	return u.String()
}

// needed are the secrets of the variables that a program reads.
func (c *canaries) needed(program string) map[string]string {
	out := map[string]string{"NATS_CREDS_FILE": c.environ["NATS_CREDS_FILE"]}
	for _, v := range config.Describe() {
		if v.Secret && slices.Contains(v.Programs, config.Program(program)) {
			out[v.Name] = c.environ[v.Name]
		}
	}
	return out
}

// encoded are the forms of a secret that are looked for, by their names. They are made here and not by the redactor
// that is tested.
func encoded(secret string) map[string]string {
	raw := []byte(secret)
	quoted, _ := json.Marshal(secret) // a text always can be
	out := map[string]string{
		"plain": secret, "cut off": secret[:12], "hex": hex.EncodeToString(raw), "URL-encoded": url.QueryEscape(secret),
		"JSON": strings.ReplaceAll(strings.Trim(string(quoted), `"`), "/", `\/`),
	}
	for shift := range 3 {
		// The letters that hang together with what stands before and after are left out.
		text := append(make([]byte, shift), raw...)
		text = text[:len(text)/3*3]
		from := 4
		if shift == 0 {
			from = 0
		}
		out[fmt.Sprint("base64 after ", shift)] = base64.StdEncoding.EncodeToString(text)[from:]
		out[fmt.Sprint("base64url after ", shift)] = base64.URLEncoding.EncodeToString(text)[from:]
	}
	return out
}

// find says which secrets a text holds.
func (c *canaries) find(text string) []string {
	var out []string
	for name, forms := range c.forms {
		for how, form := range forms {
			if strings.Contains(text, form) {
				out = append(out, name+" ("+how+")")
			}
		}
	}
	slices.Sort(out)
	return out
}

// look fails the test for each secret in a text, and says where it is.
func (c *canaries) look(t *testing.T, where, text string) {
	t.Helper()
	for _, found := range c.find(text) {
		t.Errorf("%s holds %s", where, found)
	}
}
