package envelope_test

import (
	"bytes"
	"crypto/sha3"
	"encoding/base64"
	"strings"
	"testing"
)

// generateVectors makes every vector with the reference implementation, out of
// fixed randomness: the same ones each time.
func generateVectors(t *testing.T) []vector {
	t.Helper()
	g := &generator{reference: reference{t}}
	g.example = g.seal(exampleVector())
	g.opened()
	g.versions()
	g.keyIDs()
	g.encodings()
	g.lengths()
	g.bindings()
	g.keys()
	g.places()
	g.alterations()
	return g.vectors
}

type generator struct {
	reference
	example vector // sealed, what the refused ones are made of
	vectors []vector
}

// exampleVector is the example of the specification, not sealed yet.
func exampleVector() vector {
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i)
	}
	return vector{
		name: "opened-example", comment: "the example of the specification", expect: "opened",
		encryptionKey: key, keyID: referenceKeyID("v1", key),
		owner: "alice", namespace: "alice-flows", objectName: "openai",
		value: []byte("example-value-0123456789"),
	}
}

// seal fills in what follows from the rest, without any check of bounds, so that
// it also seals what no implementation may.
func (g *generator) seal(v vector) vector {
	v.randomness = sha3.SumSHAKE256([]byte("us1 vector "+v.name), 64)
	v.seed = userSeed(v.encryptionKey, v.owner)
	public := g.publicKey(v.seed)
	v.fingerprint = referenceFingerprint(public)
	info := bindingInfo(v.owner, v.namespace, v.objectName, v.keyID)
	v.text = sealedText(v.keyID, g.sealPayload(public, v.randomness, info, nil, v.value))
	return v
}

func sealedText(keyID string, payload []byte) string {
	return "us1." + keyID + "." + base64.RawURLEncoding.EncodeToString(payload)
}

// payloadOf decodes a well-formed text's payload, without the package's help.
func payloadOf(t *testing.T, text string) []byte {
	t.Helper()
	payload, err := base64.RawURLEncoding.Strict().DecodeString(text[strings.LastIndex(text, ".")+1:])
	if err != nil {
		t.Fatalf("decoding a payload: %v", err)
	}
	return payload
}

// refuse adds a vector that is the example but for what edit does to it.
func (g *generator) refuse(class, name, comment string, edit func(*vector)) {
	v := g.example
	v.name, v.comment, v.expect = class+"-"+name, comment, class
	edit(&v)
	g.vectors = append(g.vectors, v)
}

func (g *generator) refuseText(class, name, comment string, edit func(text string) string) {
	g.refuse(class, name, comment, func(v *vector) { v.text = edit(v.text) })
}

func (g *generator) refusePayload(class, name, comment string, edit func(payload []byte) []byte) {
	g.refuse(class, name, comment, func(v *vector) {
		v.text = sealedText(v.keyID, edit(payloadOf(g.t, v.text)))
	})
}

func (g *generator) opened() {
	accept := func(name, comment string, edit func(*vector)) {
		v := exampleVector()
		v.name, v.comment = "opened-"+name, comment
		edit(&v)
		g.vectors = append(g.vectors, g.seal(v))
	}
	g.vectors = append(g.vectors, g.example)
	accept("one-byte", "the smallest value; a payload without spare bits", func(v *vector) { v.value = []byte{0} })
	accept("two-bytes", "four spare bits in the last character", func(v *vector) { v.value = []byte("ab") })
	accept("largest", "the largest value", func(v *vector) { v.value = bytes.Repeat([]byte("a"), 65536) })
	accept("any-bytes", "a value is bytes, not text", func(v *vector) {
		for i := range 256 {
			v.value = append(v.value, byte(i))
		}
	})
	accept("service-account", "an owner that is a service account", func(v *vector) {
		v.owner = "system:serviceaccount:flows:runner"
	})
	accept("owner-beyond-ascii", "an owner is its UTF-8 bytes, as they are", func(v *vector) {
		v.owner = "oidc:alice@bücher.example"
	})
	accept("longest-fields", "every field as long as it may be", func(v *vector) {
		v.owner, v.namespace, v.objectName = strings.Repeat("o", 512), strings.Repeat("s", 253), strings.Repeat("n", 253)
		v.keyID = referenceKeyID(strings.Repeat("k", 40), v.encryptionKey)
	})
	accept("shortest-fields", "every field as short as it may be", func(v *vector) {
		v.owner, v.namespace, v.objectName, v.keyID = "o", "s", "n", referenceKeyID("k", v.encryptionKey)
	})
	accept("key-name-with-hyphens", "the fingerprint is what follows the last hyphen", func(v *vector) {
		v.keyID = referenceKeyID("2026--q1-deadbeef", v.encryptionKey)
	})
}

func (g *generator) versions() {
	set := func(text string) func(string) string { return func(string) string { return text } }
	prefix := func(p string) func(string) string { return func(text string) string { return p + text } }
	g.refuseText("version", "empty", "no text at all", set(""))
	g.refuseText("version", "plaintext", "a value that nobody sealed", set("example-value-0123456789"))
	g.refuseText("version", "alone", "the version without its dot", set("us1"))
	g.refuseText("version", "two", "a version that does not exist", func(s string) string { return "us2" + s[3:] })
	g.refuseText("version", "upper-case", "case matters", func(s string) string { return "US1" + s[3:] })
	g.refuseText("version", "missing", "key id and payload alone", func(s string) string { return s[4:] })
	g.refuseText("version", "space-before", "nothing may stand before", prefix(" "))
	g.refuseText("version", "line-break-before", "nothing may stand before", prefix("\n"))
	g.refuseText("version", "byte-order-mark", "nothing may stand before", prefix("\ufeff"))
	g.refuseText("version", "quoted", "nothing may stand before", func(s string) string { return `"` + s + `"` })
}

func (g *generator) keyIDs() {
	id := func(keyID string) func(string) string {
		return func(s string) string { return "us1." + keyID + s[strings.LastIndex(s, "."):] }
	}
	g.refuseText("key-id", "missing", "the payload follows the version", func(s string) string { return "us1" + s[strings.LastIndex(s, "."):] })
	g.refuseText("key-id", "empty", "two dots in a row", id(""))
	g.refuseText("key-id", "alone", "no payload and no dot before it", func(s string) string { return s[:strings.LastIndex(s, ".")] })
	g.refuseText("key-id", "upper-case-name", "case matters", func(s string) string { return "us1.V" + s[5:] })
	g.refuseText("key-id", "upper-case-fingerprint", "case matters", id("v1-3F9A2C1B"))
	g.refuseText("key-id", "no-fingerprint", "a name alone", id("v1"))
	g.refuseText("key-id", "no-name", "a fingerprint alone", id("-3f9a2c1b"))
	g.refuseText("key-id", "no-hyphen", "name and fingerprint in one", id("v13f9a2c1b"))
	g.refuseText("key-id", "short-fingerprint", "7 characters", id("v1-3f9a2c1"))
	g.refuseText("key-id", "long-fingerprint", "9 characters", id("v1-3f9a2c1b0"))
	g.refuseText("key-id", "no-hexadecimal", "a fingerprint with a g in it", id("v1-3f9a2c1g"))
	g.refuseText("key-id", "long-name", "a name of 41 characters", id(strings.Repeat("k", 41)+"-3f9a2c1b"))
	g.refuseText("key-id", "hyphen-first", "a name that starts with a hyphen", id("-v1-3f9a2c1b"))
	g.refuseText("key-id", "hyphen-last", "a name that ends with a hyphen", id("v1--3f9a2c1b"))
	g.refuseText("key-id", "underscore", "a name with an underscore", id("v_1-3f9a2c1b"))
	g.refuseText("key-id", "dot-in-name", "the key id ends at the first dot", id("v1.2-3f9a2c1b"))
	g.refuseText("key-id", "space", "no white space", id("v1-3f9a2c1b "))
	g.refuseText("key-id", "line-break", "no white space", id("v1\n-3f9a2c1b"))
}

func (g *generator) encodings() {
	inside := func(what string) func(string) string {
		return func(s string) string { return s[:700] + what + s[700:] }
	}
	instead := func(what string) func(string) string {
		return func(s string) string { return s[:700] + what + s[701:] }
	}
	after := func(what string) func(string) string { return func(s string) string { return s + what } }
	g.refuseText("encoding", "line-break-at-end", "as an editor or echo leaves it", after("\n"))
	g.refuseText("encoding", "carriage-return-at-end", "as an editor leaves it", after("\r\n"))
	g.refuseText("encoding", "line-break-inside", "a wrapped line", inside("\n"))
	g.refuseText("encoding", "carriage-return-inside", "many decoders skip it", inside("\r"))
	g.refuseText("encoding", "space-inside", "no white space", inside(" "))
	g.refuseText("encoding", "tab-inside", "no white space", inside("\t"))
	g.refuseText("encoding", "space-at-end", "no white space", after(" "))
	g.refuseText("encoding", "padding", "the padding that this length would have", after("="))
	g.refuseText("encoding", "padding-inside", "padding in the middle", instead("="))
	g.refuseText("encoding", "plus", "a character of standard base64", instead("+"))
	g.refuseText("encoding", "slash", "a character of standard base64", instead("/"))
	g.refuseText("encoding", "nul", "a NUL character", instead("\x00"))
	g.refuseText("encoding", "beyond-ascii", "a letter that is none of base64url's", instead("é"))
	g.refuseText("encoding", "dot-inside", "one more part", inside("."))
	g.refuseText("encoding", "dot-at-end", "one more, empty part", after("."))
	g.refuseText("encoding", "spare-bits", "not canonical: a bit of the last character that belongs to no byte", setSpareBit)
	g.refuseText("encoding", "one-character-more", "no number of bytes has this length", after("AA"))
}

// setSpareBit sets the lowest bit of the last character, which is spare where
// the payload's size does not divide by 3.
func setSpareBit(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, text[len(text)-1])
	return text[:len(text)-1] + string(alphabet[last|1])
}

func (g *generator) lengths() {
	cut := func(n int) func([]byte) []byte { return func(p []byte) []byte { return p[:n] } }
	g.refusePayload("too-short", "no-payload", "the payload is empty", cut(0))
	g.refusePayload("too-short", "cut-in-ml-kem", "cut in the ML-KEM ciphertext", cut(500))
	g.refusePayload("too-short", "cut-before-x25519", "cut after the ML-KEM ciphertext", cut(1088))
	g.refusePayload("too-short", "cut-in-x25519", "cut in the X25519 share", cut(1100))
	g.refusePayload("too-short", "enc-alone", "cut after the encapsulated key", cut(1120))
	g.refusePayload("too-short", "by-one-byte", "one byte less than the smallest value has", cut(1136))
	g.refuse("too-short", "empty-value", "an empty value, rightly sealed: no implementation may", func(v *vector) {
		v.value = nil
		*v = g.seal(*v)
	})
	g.refuse("too-long", "by-one-byte", "a value of 65537 bytes, rightly sealed: no implementation may", func(v *vector) {
		v.value = bytes.Repeat([]byte("a"), 65537)
		*v = g.seal(*v)
	})
}

func (g *generator) bindings() {
	g.refuse("binding", "no-owner", "a namespace without owner", func(v *vector) { v.owner = "" })
	g.refuse("binding", "long-owner", "an owner of 513 bytes", func(v *vector) { v.owner = strings.Repeat("o", 513) })
	g.refuse("binding", "no-namespace", "no namespace", func(v *vector) { v.namespace = "" })
	g.refuse("binding", "long-namespace", "a namespace of 254 bytes", func(v *vector) { v.namespace = strings.Repeat("s", 254) })
	g.refuse("binding", "no-name", "an object that has no name yet", func(v *vector) { v.objectName = "" })
	g.refuse("binding", "long-name", "a name of 254 bytes", func(v *vector) { v.objectName = strings.Repeat("n", 254) })
}

func (g *generator) keys() {
	other := bytes.Repeat([]byte{0x42}, 32)
	otherID := referenceKeyID("v2", other)
	relabel := func(v *vector, id string) {
		v.text = sealedText(id, payloadOf(g.t, v.text))
		v.keyID = id
	}
	g.refuse("wrong-key", "newer", "the key at hand is another", func(v *vector) { v.encryptionKey, v.keyID = other, otherID })
	g.refuse("wrong-key", "other-name", "the same material under another name", func(v *vector) {
		v.keyID = referenceKeyID("v2", v.encryptionKey)
	})
	g.refuse("wrong-key", "other-fingerprint", "the same name with other material", func(v *vector) {
		v.encryptionKey, v.keyID = other, referenceKeyID("v1", other)
	})
	g.refuse("not-opened", "other-encryption-key", "the right key id with the wrong material", func(v *vector) { v.encryptionKey = other })
	g.refuse("not-opened", "relabelled", "the key id in the text was changed to that of the key at hand", func(v *vector) {
		v.encryptionKey = other
		relabel(v, otherID)
	})
	g.refuse("not-opened", "relabelled-same-material", "the key id is bound by info, too", func(v *vector) {
		relabel(v, referenceKeyID("v2", v.encryptionKey))
	})
}

func (g *generator) places() {
	g.refuse("not-opened", "other-owner", "another user's namespace", func(v *vector) { v.owner = "bob" })
	g.refuse("not-opened", "owner-case", "no case folding", func(v *vector) { v.owner = "Alice" })
	g.refuse("not-opened", "owner-longer", "no prefixes", func(v *vector) { v.owner = "alice2" })
	g.refuse("not-opened", "other-namespace", "another namespace of the same owner", func(v *vector) { v.namespace = "alice-tests" })
	g.refuse("not-opened", "other-name", "another UserSecret in the same namespace", func(v *vector) { v.objectName = "anthropic" })
	g.refuse("not-opened", "swapped", "namespace and name exchanged", func(v *vector) {
		v.namespace, v.objectName = v.objectName, v.namespace
	})
	g.refuse("not-opened", "moved-boundary", "the same bytes, divided at another place", func(v *vector) {
		v.namespace, v.objectName = "alice-flow", "sopenai"
	})
	g.refuse("not-opened", "no-info", "sealed with empty info", func(v *vector) {
		v.text = sealedText(v.keyID, g.sealPayload(g.publicKey(v.seed), v.randomness, nil, nil, v.value))
	})
	g.refuse("not-opened", "with-aad", "sealed with info as aad, too", func(v *vector) {
		info := bindingInfo(v.owner, v.namespace, v.objectName, v.keyID)
		v.text = sealedText(v.keyID, g.sealPayload(g.publicKey(v.seed), v.randomness, info, info, v.value))
	})
}

func (g *generator) alterations() {
	// A negative i counts from the end.
	flip := func(i int, bit byte) func([]byte) []byte {
		return func(p []byte) []byte {
			p[(i+len(p))%len(p)] ^= bit
			return p
		}
	}
	g.refusePayload("not-opened", "flip-ml-kem-first", "one bit of the ML-KEM ciphertext", flip(0, 1))
	g.refusePayload("not-opened", "flip-ml-kem-last", "one bit of the ML-KEM ciphertext", flip(1087, 0x80))
	g.refusePayload("not-opened", "flip-x25519-first", "one bit of the X25519 share", flip(1088, 1))
	g.refusePayload("not-opened", "flip-x25519-unused", "the bit of the share that X25519 itself ignores", flip(1119, 0x80))
	g.refusePayload("not-opened", "flip-ct-first", "one bit of the encrypted value", flip(1120, 1))
	g.refusePayload("not-opened", "flip-ct-last", "one bit of the encrypted value", flip(-17, 0x80))
	g.refusePayload("not-opened", "flip-tag-first", "one bit of the tag", flip(-16, 1))
	g.refusePayload("not-opened", "flip-tag-last", "one bit of the tag", flip(-1, 0x80))
	g.refusePayload("not-opened", "x25519-zero", "an X25519 share of low order", func(p []byte) []byte {
		clear(p[1088:1120])
		return p
	})
	g.refusePayload("not-opened", "cut-in-tag", "the last byte is missing", func(p []byte) []byte { return p[:len(p)-1] })
	g.refusePayload("not-opened", "cut-tag", "the tag is missing", func(p []byte) []byte { return p[:len(p)-16] })
	g.refusePayload("not-opened", "longer", "one byte more at the end", func(p []byte) []byte { return append(p, 0) })
	g.refusePayload("not-opened", "other-enc", "the encapsulated key of another sealing for the same place", func(p []byte) []byte {
		v := exampleVector()
		v.name = "other-enc"
		return append(payloadOf(g.t, g.seal(v).text)[:1120], p[1120:]...)
	})
}
