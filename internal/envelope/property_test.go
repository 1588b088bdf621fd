package envelope_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"usersecrets.dev/operator/internal/envelope"
)

// victim is a sealed random value, and what opens it.
type victim struct {
	material []byte
	key      *envelope.UserKey
	place    envelope.Binding
	text     string
}

// victims seals one random value for each number of spare bits that a payload's
// last character can have.
func victims(t *testing.T) []victim {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("random seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var all []victim
	for spare := range 3 {
		value := make([]byte, 3*(1+random.IntN(10))+spare)
		m := make([]byte, envelope.EncryptionKeySize)
		for i := range value {
			value[i] = byte(random.Uint32())
		}
		for i := range m {
			m[i] = byte(random.Uint32())
		}
		b := envelope.Binding{Owner: letters(random), Namespace: letters(random), Name: letters(random)}
		key := deriveKey(t, "v1", m, b.Owner)
		v := victim{material: m, key: key, place: b, text: seal(t, key, b, value)}
		opened, err := openText(key, v.text, b)
		if err != nil || !bytes.Equal(opened.Bytes(), value) {
			t.Fatalf("unchanged, it opens to %d bytes, error %v", opened.Len(), err)
		}
		all = append(all, v)
	}
	return all
}

func letters(random *rand.Rand) string {
	b := make([]byte, 2+random.IntN(20))
	for i := range b {
		b[i] = byte('a' + random.IntN(26))
	}
	return string(b)
}

// mustNotOpen takes what as a format and its arguments, so that thousands of
// right answers cost no formatting.
func (v victim) mustNotOpen(t *testing.T, key *envelope.UserKey, text string, b envelope.Binding, what string, args ...any) {
	t.Helper()
	value, err := openText(key, text, b)
	if err == nil || value.Len() != 0 {
		t.Errorf("%s: it opens", fmt.Sprintf(what, args...))
	} else if !isRefusal(err) {
		t.Errorf("%s: error %v is none of the refusals", fmt.Sprintf(what, args...), err)
	}
}

// stride is how many positions a step is: every one, but for go test -short.
func stride() int {
	if testing.Short() {
		return 17
	}
	return 1
}

func TestChangedBindingNeverOpens(t *testing.T) {
	for _, v := range victims(t) {
		fields := map[string]func(*envelope.Binding) *string{
			"owner":     func(b *envelope.Binding) *string { return &b.Owner },
			"namespace": func(b *envelope.Binding) *string { return &b.Namespace },
			"name":      func(b *envelope.Binding) *string { return &b.Name },
		}
		for name, field := range fields {
			original := v.place
			for _, changed := range mutations(*field(&original)) {
				b := v.place
				*field(&b) = changed
				// By the key at hand, and by the key of whoever is owner there, which
				// the operator derives from the same encryption key.
				v.mustNotOpen(t, v.key, v.text, b, "%s %q", name, changed)
				if other, err := envelope.DeriveUserKey(v.key.PublicKey().KeyID(), v.material, b.Owner); err == nil {
					v.mustNotOpen(t, other, v.text, b, "%s %q, with its own key", name, changed)
				}
			}
		}
	}
}

// The key id is bound as the place is: under another id, the very same key does
// not open what was sealed, not even where the text is labelled anew.
func TestChangedKeyIDNeverOpens(t *testing.T) {
	for _, v := range victims(t) {
		keyID, payload := string(v.key.PublicKey().KeyID()), payloadOf(t, v.text)
		name, fingerprint, _ := strings.Cut(keyID, "-")
		tried := 0
		for _, changed := range append(mutations(name), name+"-2") {
			other, err := envelope.DeriveUserKey(envelope.KeyID(changed+"-"+fingerprint), v.material, v.place.Owner)
			if err != nil {
				continue // no name of a key
			}
			tried++
			v.mustNotOpen(t, other, sealedText(changed+"-"+fingerprint, payload), v.place, "key name %q, labelled anew", changed)
			v.mustNotOpen(t, other, v.text, v.place, "key name %q", changed)
		}
		if tried == 0 {
			t.Error("no other key name was tried")
		}
	}
}

// mutations of s: each character changed, left out or doubled, and what is
// easily taken for the same.
func mutations(s string) []string {
	all := []string{"", s + " ", " " + s, s + "\x00", s + s, string(bytes.ToUpper([]byte(s)))}
	for i := range len(s) {
		all = append(all, s[:i]+string('a'+(s[i]-'a'+1)%26)+s[i+1:], s[:i]+s[i+1:], s[:i+1]+s[i:])
	}
	return all
}

func TestChangedByteNeverOpens(t *testing.T) {
	for _, v := range victims(t) {
		keyID, payload := string(v.key.PublicKey().KeyID()), payloadOf(t, v.text)
		for i := 0; i < len(payload); i += stride() {
			for _, mask := range []byte{1, 0x80} {
				changed := bytes.Clone(payload)
				changed[i] ^= mask
				v.mustNotOpen(t, v.key, sealedText(keyID, changed), v.place, "byte %d changed by %#x", i, mask)
			}
			shorter := append(bytes.Clone(payload[:i]), payload[i+1:]...)
			v.mustNotOpen(t, v.key, sealedText(keyID, shorter), v.place, "byte %d left out", i)
			longer := append(append(bytes.Clone(payload[:i]), 0), payload[i:]...)
			v.mustNotOpen(t, v.key, sealedText(keyID, longer), v.place, "a byte more before byte %d", i)
			v.mustNotOpen(t, v.key, sealedText(keyID, payload[:i]), v.place, "cut before byte %d", i)
		}
	}
}

// characters has one of every class that the grammar tells apart.
var characters = []string{
	"A", "z", "0", "-", "_", ".", "=", "+", " ", "\t", "\n", "\r", "\r\n", "\x00", "\x7f", "\x80", "é", "\u200b",
}

func TestChangedCharacterNeverOpens(t *testing.T) {
	for i, v := range victims(t) {
		t.Run(fmt.Sprintf("spare=%d", i), func(t *testing.T) {
			t.Parallel()
			for i := 0; i < len(v.text); i += stride() {
				before, after := v.text[:i], v.text[i+1:]
				v.mustNotOpen(t, v.key, before+after, v.place, "character %d left out", i)
				for _, c := range characters {
					if c != v.text[i:i+1] {
						v.mustNotOpen(t, v.key, before+c+after, v.place, "character %d changed to %q", i, c)
					}
					v.mustNotOpen(t, v.key, before+c+v.text[i:], v.place, "%q put in before character %d", c, i)
				}
			}
			for _, c := range characters {
				v.mustNotOpen(t, v.key, v.text+c, v.place, "%q at the end", c)
			}
		})
	}
}
