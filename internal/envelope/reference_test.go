package envelope_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/fips140"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"testing"
)

// reference is a second implementation of us1, written after section 11 of the
// specification from hashes, ciphers and curves alone: neither crypto/hpke nor
// crypto/hkdf nor this package's code has a part in it. It seals with randomness
// that it is given, which is what makes the vectors repeatable.
type reference struct{ t *testing.T }

// suite is the KEM, KDF and AEAD of section 2.
var suite = []byte("HPKE\x64\x7a\x00\x01\x00\x02")

func (r reference) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("reference implementation: %v", err)
	}
}

func hmac256(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}

func extract(salt, ikm []byte) []byte {
	if len(salt) == 0 {
		salt = make([]byte, 32)
	}
	return hmac256(salt, ikm)
}

func expand(prk, info []byte, length int) []byte {
	return hmac256(prk, append(bytes.Clone(info), 1))[:length]
}

func labeledExtract(salt []byte, label string, ikm []byte) []byte {
	return extract(salt, bytes.Join([][]byte{[]byte("HPKE-v1"), suite, []byte(label), ikm}, nil))
}

func labeledExpand(prk []byte, label string, info []byte, length int) []byte {
	labeled := binary.BigEndian.AppendUint16(nil, uint16(length))
	return expand(prk, bytes.Join([][]byte{labeled, []byte("HPKE-v1"), suite, []byte(label), info}, nil), length)
}

func keySchedule(sharedSecret, info []byte) (key, nonce []byte) {
	context := bytes.Join([][]byte{
		{0}, labeledExtract(nil, "psk_id_hash", nil), labeledExtract(nil, "info_hash", info),
	}, nil)
	secret := labeledExtract(sharedSecret, "secret", nil)
	return labeledExpand(secret, "key", context, 32), labeledExpand(secret, "base_nonce", context, 12)
}

func bindingInfo(owner, namespace, name, keyID string) []byte {
	info := []byte("usersecrets.dev/us1\x00")
	for _, field := range []string{owner, namespace, name, keyID} {
		info = append(info, byte(len(field)>>8), byte(len(field)))
		info = append(info, field...)
	}
	return info
}

func userSeed(encryptionKey []byte, owner string) []byte {
	return expand(extract(nil, encryptionKey), []byte("usersecrets.dev/us1/user-key\x00"+owner), 32)
}

// xwingKey is a key pair of MLKEM768-X25519.
type xwingKey struct {
	m *mlkem.DecapsulationKey768
	x *ecdh.PrivateKey
}

func (r reference) keypair(seed []byte) xwingKey {
	expanded := sha3.SumSHAKE256(seed, 96)
	m, err := mlkem.NewDecapsulationKey768(expanded[:64])
	r.must(err)
	x, err := ecdh.X25519().NewPrivateKey(expanded[64:])
	r.must(err)
	return xwingKey{m: m, x: x}
}

func (k xwingKey) public() []byte {
	return append(k.m.EncapsulationKey().Bytes(), k.x.PublicKey().Bytes()...)
}

func combine(ssM, ssX, ctX, pkX []byte) []byte {
	sum := sha3.Sum256(bytes.Join([][]byte{ssM, ssX, ctX, pkX, []byte(`\.//^\`)}, nil))
	return sum[:]
}

// encap takes 32 bytes of randomness for ML-KEM and 32 for X25519.
func (r reference) encap(public, randomness []byte) (sharedSecret, enc []byte) {
	ek, err := mlkem.NewEncapsulationKey768(public[:1184])
	r.must(err)
	ssM, ctM, err := mlkemtest.Encapsulate768(ek, randomness[:32])
	r.must(err)
	e, err := ecdh.X25519().NewPrivateKey(randomness[32:])
	r.must(err)
	pkX, err := ecdh.X25519().NewPublicKey(public[1184:])
	r.must(err)
	ssX, err := e.ECDH(pkX)
	r.must(err)
	ctX := e.PublicKey().Bytes()
	return combine(ssM, ssX, ctX, public[1184:]), append(ctM, ctX...)
}

// decap fails on an X25519 share of low order.
func (r reference) decap(key xwingKey, enc []byte) ([]byte, error) {
	ssM, err := key.m.Decapsulate(enc[:1088])
	r.must(err)
	ctX, err := ecdh.X25519().NewPublicKey(enc[1088:])
	r.must(err)
	ssX, err := key.x.ECDH(ctX)
	if err != nil {
		return nil, err
	}
	return combine(ssM, ssX, enc[1088:], key.x.PublicKey().Bytes()), nil
}

func (r reference) aead(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	r.must(err)
	aead, err := cipher.NewGCM(block)
	r.must(err)
	return aead
}

// sealPayload returns enc || ct. The bounds of section 5 are the caller's.
func (r reference) sealPayload(public, randomness, info, aad, value []byte) (payload []byte) {
	// Chosen randomness and nonces, and X25519 by itself, are not approved.
	fips140.WithoutEnforcement(func() {
		sharedSecret, enc := r.encap(public, randomness)
		key, nonce := keySchedule(sharedSecret, info)
		payload = r.aead(key).Seal(enc, nonce, value, aad)
	})
	return payload
}

// openPayload is step 10 of section 7.
func (r reference) openPayload(seed, info, payload []byte) (value []byte, err error) {
	fips140.WithoutEnforcement(func() {
		var sharedSecret []byte
		if sharedSecret, err = r.decap(r.keypair(seed), payload[:1120]); err != nil {
			return
		}
		key, nonce := keySchedule(sharedSecret, info)
		value, err = r.aead(key).Open(nil, nonce, payload[1120:], nil)
	})
	return value, err
}

func (r reference) publicKey(seed []byte) (public []byte) {
	fips140.WithoutEnforcement(func() { public = r.keypair(seed).public() })
	return public
}

func referenceFingerprint(public []byte) string {
	sum := sha256.Sum256(append([]byte("usersecrets.dev/us1/public-key\x00"), public...))
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

func referenceKeyID(name string, encryptionKey []byte) string {
	return fmt.Sprintf("%s-%x", name, expand(extract(nil, encryptionKey), []byte("usersecrets.dev/us1/key-id"), 4))
}
