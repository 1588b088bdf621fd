package envelope

import "encoding/base64"

// Sizes, of section 2.1.
const (
	// MaxValueLength is the largest value, in bytes: 64 KiB.
	MaxValueLength = 64 << 10
	// MaxTextLength is the length, in bytes, of the largest value's sealed text
	// under the longest key id.
	MaxTextLength = len(version) + MaxKeyIDLength + len(".") + maxPayloadCharacters
	// MaxKeyIDLength is the length of the longest key id, in bytes.
	MaxKeyIDLength = maxKeyNameLength + len("-") + fingerprintLength

	// EncryptionKeySize is the size, in bytes, of an encryption key.
	EncryptionKeySize = 32
	// PublicKeySize is the size, in bytes, of a user's public key: 1184 of
	// ML-KEM-768 (FIPS 203, section 8) and 32 of X25519.
	PublicKeySize = 1184 + 32

	// MaxOwnerLength, MaxNamespaceLength and MaxNameLength bound the fields of a
	// [Binding], in bytes.
	MaxOwnerLength     = 512
	MaxNamespaceLength = 253
	MaxNameLength      = 253
)

const (
	seedSize            = 32        // the KEM's serialized private key
	encapsulatedKeySize = 1088 + 32 // ML-KEM-768's ciphertext and X25519's share
	tagSize             = 16        // of AES-256-GCM

	minPayloadSize = encapsulatedKeySize + 1 + tagSize
	maxPayloadSize = encapsulatedKeySize + MaxValueLength + tagSize

	// Base64 has 4 characters for 3 bytes. Both sizes divide by 3, so that a
	// payload's size is within bounds exactly where its characters are.
	minPayloadCharacters = minPayloadSize / 3 * 4
	maxPayloadCharacters = maxPayloadSize / 3 * 4

	maxKeyNameLength  = 40
	fingerprintLength = 8 // hexadecimal characters
)

// version starts every sealed text.
const version = "us1."

// The labels keep what is derived for one purpose from serving another, and the
// version out of reach of whoever edits the text.
const (
	infoLabel      = "usersecrets.dev/us1"
	userKeyLabel   = infoLabel + "/user-key"
	keyIDLabel     = infoLabel + "/key-id"
	publicKeyLabel = infoLabel + "/public-key"
)

// payloadEncoding refuses a last character with bits that belong to no byte. It
// skips line breaks all the same: those are refused before it is asked.
var payloadEncoding = base64.RawURLEncoding.Strict()
