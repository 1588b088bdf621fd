package envelope

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// KeyID names a version of the vault's encryption key, as in section 3.2: the
// name of its EncryptionKey, a hyphen, and a fingerprint of its material in 8
// hexadecimal characters, such as "v1-3f9a2c1b".
type KeyID string

// ParseKeyID returns text as a KeyID, or ErrKeyID.
func ParseKeyID(text string) (KeyID, error) {
	cut := len(text) - fingerprintLength - len("-")
	if cut < 1 || cut > maxKeyNameLength || text[cut] != '-' {
		return "", ErrKeyID
	}
	name, fingerprint := text[:cut], text[cut+1:]
	if !isKeyName(name) || strings.Trim(fingerprint, "0123456789abcdef") != "" {
		return "", ErrKeyID
	}
	return KeyID(text), nil
}

// NewKeyID returns the key id of material, an encryption key of 32 bytes, under
// the name of its EncryptionKey. The fingerprint is of the material alone and
// tells nothing else about it. Errors: ErrKeyID for a name that is not 1 to 40
// of a-z, 0-9 and "-", starting and ending with none; ErrEncryptionKey.
func NewKeyID(name string, material []byte) (KeyID, error) {
	if len(material) != EncryptionKeySize {
		return "", ErrEncryptionKey
	}
	fingerprint, err := hkdf.Key(sha256.New, material, nil, keyIDLabel, fingerprintLength/2)
	if err != nil {
		return "", fmt.Errorf("fingerprinting an encryption key: %w", err)
	}
	return ParseKeyID(name + "-" + hex.EncodeToString(fingerprint))
}

// KeyIDOf returns the key id that a sealed value names, read from the text alone;
// empty where text is no sealed value. That it has one says nothing about the rest.
func KeyIDOf(text string) KeyID {
	rest, ok := strings.CutPrefix(text, version)
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, ".")
	id, err := ParseKeyID(name)
	if err != nil {
		return ""
	}
	return id
}

// Name returns the name of the EncryptionKey: what stands before the
// fingerprint. It is empty where id is no valid key id.
func (id KeyID) Name() string {
	if _, err := ParseKeyID(string(id)); err != nil {
		return ""
	}
	return string(id[:len(id)-fingerprintLength-len("-")])
}

// isKeyName reports whether name, which is not empty, is a DNS label but for
// its length.
func isKeyName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c == '-' && i > 0 && i < len(name)-1 {
			continue
		}
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
