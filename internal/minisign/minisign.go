// Package minisign makes and checks signatures in minisign's format, by Ed25519 over the BLAKE2b-512 of a text.
//
// It promises that the same key, text and comment give the same signature, that the minisign program takes what it
// writes, and that it takes no signature that program would refuse. It is pure, and knows no passwords. The format is
// jedisct1.github.io/minisign's.
package minisign

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/blake2b"
)

const (
	untrusted = "untrusted comment: "
	trusted   = "trusted comment: "
	idSize    = 8
)

// What the parts of the format begin with.
var (
	algorithm = []byte("Ed") // a key
	prehashed = []byte("ED") // a signature of the text's hash
	checksum  = []byte("B2")
)

// PublicKey checks signatures.
type PublicKey struct {
	id  [idSize]byte
	key ed25519.PublicKey
}

// SecretKey makes them.
type SecretKey struct {
	id  [idSize]byte
	key ed25519.PrivateKey
}

// New makes a secret key of 32 random bytes for the key and 8 for its id.
func New(random []byte) (SecretKey, error) {
	if len(random) != ed25519.SeedSize+idSize {
		return SecretKey{}, fmt.Errorf("%d random bytes are needed", ed25519.SeedSize+idSize)
	}
	k := SecretKey{key: ed25519.NewKeyFromSeed(random[:ed25519.SeedSize])}
	copy(k.id[:], random[ed25519.SeedSize:])
	return k, nil
}

// Public is the key that checks what k signs.
func (k SecretKey) Public() PublicKey {
	return PublicKey{k.id, k.key.Public().(ed25519.PublicKey)} //nolint:forcetypeassert // its documented type
}

// ID is the key's name, as minisign prints it.
func (k PublicKey) ID() string { return fmt.Sprintf("%016X", binary.LittleEndian.Uint64(k.id[:])) }

// Text is the content of a public key's file.
func (k PublicKey) Text() string {
	return untrusted + "minisign public key " + k.ID() + "\n" + encode(algorithm, k.id[:], k.key) + "\n"
}

// The secret key's layout: algorithms, the parameters of a password that there is none of, id, key and checksum.
const (
	zeroes     = 32 + 8 + 8
	secretSize = 2 + 2 + 2 + zeroes + idSize + ed25519.PrivateKeySize + 32
)

// Text is the content of a secret key's file, as minisign -G -W writes it.
func (k SecretKey) Text() string {
	return untrusted + "minisign secret key without a password\n" +
		encode(algorithm, []byte{0, 0}, checksum, make([]byte, zeroes), k.id[:], k.key, make([]byte, 32)) + "\n"
}

// ParseSecretKey reads the content of a secret key's file. Its errors hold nothing of it.
func ParseSecretKey(text string) (SecretKey, error) {
	data, err := decode(text, secretSize)
	if err != nil {
		return SecretKey{}, errors.New("no minisign secret key that can be read")
	}
	switch {
	case !bytes.Equal(data[:2], algorithm) || !bytes.Equal(data[4:6], checksum):
		return SecretKey{}, errors.New("no minisign secret key")
	case data[2] != 0 || data[3] != 0:
		return SecretKey{}, errors.New("the secret key has a password; one without is needed (minisign -G -W, or sre-agent receipt keygen)")
	}
	k := SecretKey{key: ed25519.PrivateKey(data[6+zeroes+idSize : 6+zeroes+idSize+ed25519.PrivateKeySize])}
	copy(k.id[:], data[6+zeroes:])
	if !k.key.Equal(ed25519.NewKeyFromSeed(k.key.Seed())) {
		return SecretKey{}, errors.New("the minisign secret key is damaged")
	}
	return k, nil
}

// ParsePublicKey reads the content of a public key's file, or its second line alone.
func ParsePublicKey(text string) (PublicKey, error) {
	data, err := decode(text, 2+idSize+ed25519.PublicKeySize)
	if err != nil || !bytes.Equal(data[:2], algorithm) {
		return PublicKey{}, errors.New("no minisign public key")
	}
	k := PublicKey{key: ed25519.PublicKey(data[2+idSize:])}
	copy(k.id[:], data[2:])
	return k, nil
}

// Sign returns the content of a .minisig file. The comment, of one line, is signed too.
func (k SecretKey) Sign(text []byte, comment string) (string, error) {
	if strings.ContainsAny(comment, "\r\n") {
		return "", errors.New("minisign: the comment has a line end")
	}
	digest := blake2b.Sum512(text)
	signature := ed25519.Sign(k.key, digest[:])
	global := ed25519.Sign(k.key, append(bytes.Clone(signature), comment...))
	return untrusted + "signature from sre-agent's secret key\n" + encode(prehashed, k.id[:], signature) + "\n" +
		trusted + comment + "\n" + encode(global) + "\n", nil
}

// Verify checks the content of a .minisig file and returns its comment.
func (k PublicKey) Verify(text []byte, minisig string) (comment string, err error) {
	lines := strings.Split(strings.TrimRight(strings.ReplaceAll(minisig, "\r\n", "\n"), "\n"), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], untrusted) || !strings.HasPrefix(lines[2], trusted) {
		return "", errors.New("no minisign signature")
	}
	data, err := decode(lines[1], 2+idSize+ed25519.SignatureSize)
	if err != nil || !bytes.Equal(data[:2], prehashed) {
		return "", errors.New("no minisign signature of a hash")
	}
	if id := data[2 : 2+idSize]; !bytes.Equal(id, k.id[:]) {
		return "", fmt.Errorf("signed by key %016X, not by %s", binary.LittleEndian.Uint64(id), k.ID())
	}
	global, err := decode(lines[3], ed25519.SignatureSize)
	if err != nil {
		return "", errors.New("no minisign signature")
	}
	signature, comment := data[2+idSize:], strings.TrimPrefix(lines[2], trusted)
	digest := blake2b.Sum512(text)
	if !ed25519.Verify(k.key, digest[:], signature) {
		return "", errors.New("the signature is not of this text")
	}
	if !ed25519.Verify(k.key, append(bytes.Clone(signature), comment...), global) {
		return "", errors.New("the signature is not of its comment")
	}
	return comment, nil
}

// Token is a name for a purpose that nobody without the key can guess: 32 hexadecimal digits.
func (k SecretKey) Token(purpose string) string {
	sum := blake2b.Sum256(ed25519.Sign(k.key, []byte("sre-agent token: "+purpose)))
	return fmt.Sprintf("%x", sum[:16])
}

func encode(parts ...[]byte) string { return base64.StdEncoding.EncodeToString(bytes.Join(parts, nil)) }

// decode reads the last line of a file, which has to be so many bytes.
func decode(text string, size int) ([]byte, error) {
	text = strings.TrimSpace(text)
	data, err := base64.StdEncoding.Strict().DecodeString(text[strings.LastIndexByte(text, '\n')+1:])
	if err == nil && len(data) != size {
		err = errors.New("another length")
	}
	return data, err
}
