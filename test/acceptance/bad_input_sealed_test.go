package acceptance_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/test/rig"
)

var _ = Describe("Bad input: a sealed value", Ordered, ContinueOnFailure, func() {
	var (
		c      *people
		second *rig.Person // alice, in another namespace of hers
	)

	BeforeAll(func(ctx SpecContext) {
		c = newPeople(ctx)
		var err error
		second, err = product.Onboard(ctx, c.alice.Name, c.alice.Namespace+"-second")
		Expect(err).NotTo(HaveOccurred())
	})

	// holding is a UserSecret of alice's that holds a text as sealed value.
	holding := func(sealed string) *v1alpha1.UserSecret {
		us := plaintext(c.alice.Person, fmt.Sprintf("sealed-%d", serial.Add(1)), "openai", v1alpha1.TypeAPIKey, "")
		us.Spec.Value, us.Spec.EncryptedValue = nil, sealed
		return us
	}
	// altered is one whose sealed value was right before change.
	altered := func(change func(sealedParts) string, want string) func(context.Context) attempt {
		return func(ctx context.Context) attempt {
			us := holding("")
			us.Spec.EncryptedValue = change(cutSealed(sealFor(ctx, c.alice.Person, us.Name, pasted)))
			return attempt{by: c.alice, write: creating(us), want: want}
		}
	}

	DescribeTable("is refused", func(ctx SpecContext, prepare func(context.Context) attempt) {
		expectRefusal(ctx, prepare(ctx))
	},
		Entry("in a namespace without owner", func(ctx context.Context) attempt {
			us := userSecret(ctx, c.alice.Person, "lost", "openai", v1alpha1.TypeAPIKey, pasted)
			us.Namespace = unowned(ctx)
			return attempt{by: c.admin, write: creating(us),
				want: validating + fmt.Sprintf("namespace has no owner: %q carries no annotation usersecrets.dev/owner; an administrator sets it with 'kubectl usersecret onboard'", us.Namespace)}
		}),
		Entry("from somebody who may write UserSecrets but is neither owner nor delegate", func(ctx context.Context) attempt {
			us := userSecret(ctx, c.alice.Person, "strange", "openai", v1alpha1.TypeAPIKey, pasted)
			return attempt{by: c.eve, write: creating(us), want: validating + strangerTold}
		}),

		Entry("for another user", func(ctx context.Context) attempt {
			us := holding("")
			us.Spec.EncryptedValue = sealFor(ctx, c.bob.Person, us.Name, pasted)
			return attempt{by: c.alice, write: creating(us), want: notOpenedTold}
		}),
		Entry("for another namespace of the same user", func(ctx context.Context) attempt {
			us := holding("")
			us.Spec.EncryptedValue = sealFor(ctx, second, us.Name, pasted)
			return attempt{by: c.alice, write: creating(us), want: notOpenedTold}
		}),
		Entry("for another name", func(ctx context.Context) attempt {
			return attempt{by: c.alice, write: creating(holding(sealFor(ctx, c.alice.Person, "another", pasted))), want: notOpenedTold}
		}),
		Entry("for a name that generateName makes, which nobody can know", func(ctx context.Context) attempt {
			us := holding(sealFor(ctx, c.alice.Person, "some-", pasted))
			us.Name, us.GenerateName = "", "some-"
			return attempt{by: c.alice, write: creating(us), want: generatedNameTold}
		}),
		Entry("of a key that does not exist", altered(func(s sealedParts) string { return "us1.v9-00000000." + s.payload },
			unknownKeyTold("v9-00000000"))),
		Entry("under another name of its key", func(ctx context.Context) attempt {
			us := holding("")
			parts := cutSealed(sealFor(ctx, c.alice.Person, us.Name, pasted))
			parts.keyID = "v9" + parts.keyID[strings.LastIndex(parts.keyID, "-"):]
			us.Spec.EncryptedValue = parts.text()
			return attempt{by: c.alice, write: creating(us), want: unknownKeyTold(parts.keyID)}
		}),

		Entry("cut off in the middle", altered(func(s sealedParts) string { return "us1." + s.keyID + "." + s.payload[:700] },
			encodingTold("the sealed value is cut off: its payload has 700 characters, at least 1516 are needed"))),
		Entry("cut off by 3 characters", altered(func(s sealedParts) string { return "us1." + s.keyID + "." + s.payload[:len(s.payload)-3] },
			notBase64Told("the end of its payload is cut off or altered"))),
		Entry("cut off by 4 characters", altered(func(s sealedParts) string { return "us1." + s.keyID + "." + s.payload[:len(s.payload)-4] }, notOpenedTold)),
		Entry("cut off before its payload", altered(func(s sealedParts) string { return "us1." + s.keyID },
			encodingTold(`the key id is malformed: it is like "v1-3f9a2c1b", a name of at most 40 of a-z, 0-9 and "-" that neither starts nor ends with "-", then "-" and 8 of 0-9 and a-f: the sealed value ends before one does`))),
		Entry("with one bit flipped in what carries the key", altered(func(s sealedParts) string { return s.flipped(100) }, notOpenedTold)),
		Entry("with one bit flipped in the value", altered(func(s sealedParts) string { return s.flipped(1120 + 3) }, notOpenedTold)),
		Entry("with one bit flipped in its last byte", altered(func(s sealedParts) string { return s.flipped(-1) }, notOpenedTold)),

		Entry("that is not base64", altered(func(s sealedParts) string { return s.replaced("!") },
			notBase64Told("its payload has a character that is none of base64url at position 11"))),
		Entry("with a newline inside", altered(func(s sealedParts) string { return s.replaced("\n") }, notBase64Told("its payload has a line break at position 11"))),
		Entry("with a newline at its end", altered(func(s sealedParts) string { return s.text() + "\n" },
			notBase64Told(fmt.Sprintf("its payload has a line break at position %d", payloadLength+1)))),
		Entry("with the same bytes spelt another way", func(ctx context.Context) attempt {
			us := holding("")
			value := pasted[:len(pasted)-2] // leaves bits in the last character that belong to no byte
			us.Spec.EncryptedValue = respelt(sealFor(ctx, c.alice.Person, us.Name, value))
			return attempt{by: c.alice, write: creating(us), secret: value, want: notBase64Told("the end of its payload is cut off or altered")}
		}),
		Entry("with padding", altered(func(s sealedParts) string { return s.text() + "=" },
			notBase64Told(fmt.Sprintf(`its payload has padding ("=") at position %d`, payloadLength+1)))),
		Entry("in the other alphabet of base64", altered(func(s sealedParts) string { return s.replaced("+") },
			notBase64Told(`its payload has a character of standard base64 ("+" or "/") at position 11`))),

		Entry("that is a plaintext", func(context.Context) attempt {
			return attempt{by: c.alice, write: creating(holding(pasted)),
				want: validating + `spec.encryptedValue: this is no sealed value: it does not start with "us1."; seal the value with "kubectl usersecret seal"`}
		}),
		Entry("that is longer than any", func(context.Context) attempt {
			us := holding("us1." + strings.Repeat("a", 90_000))
			return attempt{by: c.alice, write: creating(us),
				want: validating + fmt.Sprintf(`spec.encryptedValue: the sealed value is longer than that of the largest value, 64 KiB: it has more than %d characters; copy the whole output of "kubectl usersecret seal"`, envelope.MaxTextLength)}
		}),
		Entry("that repeats itself in the clear", func(ctx context.Context) attempt {
			us := userSecret(ctx, c.alice.Person, "repeated", "openai", v1alpha1.TypeAPIKey, pasted)
			us.Spec.Description = "was " + pasted
			return attempt{by: c.alice, write: creating(us),
				want: strings.Replace(repeatedTold("spec.description"), sealing, validating, 1)}
		}),
	)
})

const notOpenedTold = validating + "spec.encryptedValue: the sealed value does not open here: it was sealed for another owner, namespace, name or key, or it was altered; seal the value again for this owner, namespace and name"

const generatedNameTold = validating + "spec.encryptedValue: a sealed value is bound to its name, which nobody knows before generateName makes it: give metadata.name instead of generateName, and seal the value for that name"

func unknownKeyTold(keyID string) string {
	return validating + "spec.encryptedValue: unknown encryption key " + keyID + ": it was sealed for another vault, or the key was deleted; seal the value again with 'kubectl usersecret seal'"
}

func encodingTold(found string) string {
	return validating + "spec.encryptedValue: " + found + `; copy the whole output of "kubectl usersecret seal"`
}

func notBase64Told(found string) string {
	return encodingTold(`the sealed value is not one line of base64url (A-Z, a-z, 0-9, "-" and "_", without padding): ` + found)
}

// sealedParts is the text of a sealed value, cut into its parts.
type sealedParts struct{ keyID, payload string }

// payloadLength is that of pasted: 1120 bytes of key, the value, 16 of tag.
var payloadLength = base64.RawURLEncoding.EncodedLen(1120 + len(pasted) + 16)

func cutSealed(text string) sealedParts {
	GinkgoHelper()
	parts := strings.Split(text, ".")
	Expect(parts).To(HaveLen(3))
	Expect(parts[2]).To(HaveLen(payloadLength))
	return sealedParts{keyID: parts[1], payload: parts[2]}
}

func (s sealedParts) text() string { return "us1." + s.keyID + "." + s.payload }

// flipped has the lowest bit of one byte flipped, counted from the end where
// negative, and is well formed.
func (s sealedParts) flipped(index int) string {
	payload := decoded(s.text())
	payload[(index+len(payload))%len(payload)] ^= 1
	return sealedParts{s.keyID, base64.RawURLEncoding.EncodeToString(payload)}.text()
}

// replaced has another eleventh character.
func (s sealedParts) replaced(character string) string {
	return sealedParts{s.keyID, s.payload[:10] + character + s.payload[11:]}.text()
}

// respelt is a sealed value whose payload decodes to the same bytes, since the
// bits that differ belong to none (RFC 4648, section 3.5).
func respelt(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(text) - 1
	other := text[:last] + string(alphabet[strings.IndexByte(alphabet, text[last])^1])
	Expect(decoded(other)).To(Equal(decoded(text)))
	return other
}

// decoded are the bytes of a payload, by a decoder that is not strict.
func decoded(text string) []byte {
	payload, err := base64.RawURLEncoding.DecodeString(text[strings.LastIndex(text, ".")+1:])
	Expect(err).NotTo(HaveOccurred())
	return payload
}
