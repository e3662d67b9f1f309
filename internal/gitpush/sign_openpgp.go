package gitpush

import (
	"bytes"
	"crypto"
	_ "crypto/sha512" // the hash that is signed
	"errors"
	"fmt"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

func openPGPSigner(data []byte) (*Signer, error) {
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(data))
	if err != nil {
		return nil, errors.New("no OpenPGP private key that can be read") // its error may quote the file
	}
	if len(ring) != 1 {
		return nil, fmt.Errorf("one OpenPGP key is needed, and there are %d", len(ring))
	}
	entity := ring[0]
	key, ok := entity.SigningKey(time.Now())
	if !ok || key.PrivateKey == nil || key.PrivateKey.Dummy() {
		return nil, errors.New("no part of the OpenPGP key can sign today")
	}
	if key.PrivateKey.Encrypted {
		return nil, errors.New("the key has a passphrase; one without is needed")
	}
	switch key.PrivateKey.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly, packet.PubKeyAlgoEdDSA, packet.PubKeyAlgoEd25519, packet.PubKeyAlgoEd448:
	default:
		return nil, errors.New("signatures by this kind of OpenPGP key differ each time: an EdDSA or RSA key is needed")
	}
	if key.PublicKey.Version != 4 {
		return nil, fmt.Errorf("signatures by OpenPGP keys of version %d are salted and differ each time: one of version 4 is needed", key.PublicKey.Version)
	}
	sign := func(payload []byte, when time.Time) ([]byte, error) {
		return openPGPSignature(key.PrivateKey, payload, when)
	}
	return &Signer{Kind: "openpgp", Name: fmt.Sprintf("%X", key.PublicKey.Fingerprint), sign: sign}, nil
}

// openPGPSignature is a function of its arguments: it is dated by the commit and not by the clock, and has no salt. A
// commit older than the key is signed as of the key's first moment, since no signature may be older than its key.
func openPGPSignature(key *packet.PrivateKey, payload []byte, when time.Time) ([]byte, error) {
	if when.Before(key.CreationTime) {
		when = key.CreationTime
	}
	signature := &packet.Signature{
		Version: key.Version, SigType: packet.SigTypeBinary, PubKeyAlgo: key.PubKeyAlgo, Hash: crypto.SHA512,
		CreationTime: when, IssuerKeyId: &key.KeyId, IssuerFingerprint: key.Fingerprint,
	}
	salted := false
	digest := crypto.SHA512.New()
	digest.Write(payload)
	if err := signature.Sign(digest, key, &packet.Config{NonDeterministicSignaturesViaNotation: &salted}); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.SignatureType, nil)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(signature.Serialize(w), w.Close()); err != nil {
		return nil, err
	}
	return append(out.Bytes(), '\n'), nil
}
