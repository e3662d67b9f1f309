package gitpush

import (
	"bytes"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"
)

// What a signature of OpenSSH says of itself (PROTOCOL.sshsig in OpenSSH's sources). Git's name for what is signed is
// "git".
const (
	sshMagic     = "SSHSIG"
	sshNamespace = "git"
	sshHash      = "sha512"
	sshLine      = 70
)

func sshSigner(data []byte) (*Signer, error) {
	key, err := ssh.ParsePrivateKey(data)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		return nil, errors.New("the key has a passphrase; one without is needed")
	}
	if err != nil {
		return nil, errors.New("no SSH private key that can be read") // its error may quote the file
	}
	algorithm := ""
	switch key.PublicKey().Type() {
	case ssh.KeyAlgoED25519:
		algorithm = ssh.KeyAlgoED25519
	case ssh.KeyAlgoRSA:
		algorithm = ssh.KeyAlgoRSASHA512
	default:
		return nil, fmt.Errorf("signatures by %s keys differ each time: an Ed25519 or RSA key is needed", key.PublicKey().Type())
	}
	signer, ok := key.(ssh.AlgorithmSigner)
	if !ok {
		return nil, errors.New("this SSH key can't sign")
	}
	sign := func(payload []byte, _ time.Time) ([]byte, error) { return sshSignature(signer, algorithm, payload) }
	return &Signer{Kind: "ssh", Name: ssh.FingerprintSHA256(key.PublicKey()), sign: sign}, nil
}

// sshSignature uses randomness for nothing: both algorithms are functions of key and message.
func sshSignature(key ssh.AlgorithmSigner, algorithm string, payload []byte) ([]byte, error) {
	digest := sha512.Sum512(payload)
	signed := append([]byte(sshMagic), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Digest                    []byte
	}{sshNamespace, "", sshHash, digest[:]})...)
	signature, err := key.SignWithAlgorithm(rand.Reader, signed, algorithm)
	if err != nil {
		return nil, err
	}
	blob := append([]byte(sshMagic), ssh.Marshal(struct {
		Version                   uint32
		Key                       []byte
		Namespace, Reserved, Hash string
		Signature                 []byte
	}{1, key.PublicKey().Marshal(), sshNamespace, "", sshHash, ssh.Marshal(signature)})...)

	var out bytes.Buffer
	out.WriteString("-----BEGIN SSH SIGNATURE-----\n")
	for text := base64.StdEncoding.EncodeToString(blob); text != ""; {
		n := min(sshLine, len(text))
		out.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	out.WriteString("-----END SSH SIGNATURE-----\n")
	return out.Bytes(), nil
}
