package program

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate writes a self-signed certificate of 127.0.0.1 and its key, and returns the pool that trusts it.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pool = x509.NewCertPool()
	certFile = write("tls.crt", "CERTIFICATE", der)
	text, err := os.ReadFile(certFile)
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	return certFile, write("tls.key", "PRIVATE KEY", private), pool
}

func server(certFile, keyFile string) *Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	return &Server{mux: mux, srv: &http.Server{Addr: "127.0.0.1:0", Handler: mux, ReadHeaderTimeout: time.Minute}, certFile: certFile, keyFile: keyFile}
}

func TestWithACertificateTheServerSpeaksTLSAndNothingElse(t *testing.T) {
	certFile, keyFile, pool := certificate(t)
	s := server(certFile, keyFile)
	ctx, failed := context.WithCancelCause(t.Context())
	if err := s.start(failed); err != nil {
		t.Fatal(err)
	}
	defer s.stop(time.Second)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	get := func(scheme string) (int, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+s.Addr()+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		return res.StatusCode, res.Body.Close()
	}
	if code, err := get("https"); code != http.StatusOK || err != nil {
		t.Errorf("by TLS: %d, %v", code, err)
	}
	if code, err := get("http"); code == http.StatusOK {
		t.Errorf("in clear text: %d, %v", code, err)
	}
}

func TestACertificateThatCantBeReadStopsTheStart(t *testing.T) {
	certFile, _, _ := certificate(t)
	err := server(certFile, filepath.Join(t.TempDir(), "none")).start(nil)
	if err == nil || !strings.Contains(err.Error(), "WEBHOOK_TLS_KEY_FILE") {
		t.Errorf("%v", err)
	}
}
