package gitpush

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/sre-agent/sre-agent/internal/keyfile"
)

// Signer signs commits with one key. The same commit and key give the same signature, so that whoever builds a commit
// again gets the same id: keys whose signatures differ each time are refused.
type Signer struct {
	// Kind is "ssh" or "openpgp"; Name is the key's fingerprint, for logs.
	Kind, Name string
	sign       func(payload []byte, when time.Time) (armored []byte, err error)
}

// LoadSigner reads a private key, of SSH or of OpenPGP as its content says, from a file that nobody else may read. The
// key has to be without a passphrase. SSH keys are Ed25519 or RSA; OpenPGP ones are EdDSA or RSA.
func LoadSigner(path string) (*Signer, error) {
	data, err := keyfile.Read(path)
	if err != nil {
		return nil, err
	}
	s, err := parseSigner(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func parseSigner(data []byte) (*Signer, error) {
	switch {
	case bytes.Contains(data, []byte("-----BEGIN PGP PRIVATE KEY BLOCK-----")):
		return openPGPSigner(data)
	case bytes.Contains(data, []byte("PRIVATE KEY-----")):
		return sshSigner(data)
	case bytes.Contains(data, []byte("PUBLIC KEY")), bytes.HasPrefix(data, []byte("ssh-")):
		return nil, errors.New("this is the public key; the private one is needed")
	default:
		return nil, errors.New("neither an SSH private key nor an armored OpenPGP one (gpg --export-secret-keys --armor)")
	}
}

// attach puts the signature of a commit into it, as git does: a header after the others, further lines indented.
func (s *Signer) attach(commit []byte, when time.Time) ([]byte, error) {
	signature, err := s.sign(commit, when)
	if err != nil {
		return nil, fmt.Errorf("sign with %s key %s: %w", s.Kind, s.Name, err)
	}
	end := bytes.Index(commit, []byte("\n\n"))
	if end < 0 {
		return nil, errors.New("the commit has no message")
	}
	var out bytes.Buffer
	out.Write(commit[:end+1])
	out.WriteString("gpgsig ")
	out.Write(bytes.ReplaceAll(bytes.TrimRight(signature, "\n"), []byte("\n"), []byte("\n ")))
	out.Write(commit[end:])
	return out.Bytes(), nil
}
