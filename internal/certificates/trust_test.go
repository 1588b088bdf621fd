package certificates

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func encoded(t *testing.T, from trust) map[string][]byte {
	t.Helper()
	data, err := from.encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTrustRoundTrip(t *testing.T) {
	current, next, old := makeAuthority(t, start), makeAuthority(t, start), makeAuthority(t, start).certificate
	for name, c := range map[string]struct {
		trust    trust
		wantKeys []string
	}{
		"alone":           {trust{current: current}, []string{"ca.crt", "tls.crt", "tls.key"}},
		"with a previous": {trust{current: current, previous: []*x509.Certificate{old}}, []string{"ca.crt", "tls.crt", "tls.key"}},
		"prepared":        {trust{current: current, next: next}, []string{"ca.crt", "next.crt", "next.key", "tls.crt", "tls.key"}},
		"announced": {
			trust{current: current, next: next, published: start, previous: []*x509.Certificate{old}},
			[]string{"ca.crt", "next.crt", "next.key", "next.published", "tls.crt", "tls.key"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			data := encoded(t, c.trust)
			if diff := cmp.Diff(c.wantKeys, sortedKeys(data)); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			back := decode(data)
			if back.flaw != nil {
				t.Fatalf("flaw: %v", back.flaw)
			}
			if !back.published.Equal(c.trust.published) {
				t.Errorf("published at %s, want %s", back.published, c.trust.published)
			}
			if diff := cmp.Diff(data, encoded(t, back)); diff != "" {
				t.Errorf("encoded again (-first +second):\n%s", diff)
			}
		})
	}
}

func sortedKeys(data map[string][]byte) []string {
	var all []string
	for _, key := range []string{"ca.crt", "next.crt", "next.key", "next.published", "tls.crt", "tls.key"} {
		if _, ok := data[key]; ok {
			all = append(all, key)
		}
	}
	return all
}

// Whatever is damaged is said, without any of the key, and made whole by the steps
// that follow, while what can still be believed stays believed.
func TestDamagedSecrets(t *testing.T) {
	current, next, other := makeAuthority(t, start), makeAuthority(t, start), makeAuthority(t, start)
	whole := trust{current: current, next: next, published: start}
	leaf, err := current.serve(servedNames, start)
	if err != nil {
		t.Fatal(err)
	}
	leafKey, err := (&authority{key: leaf.PrivateKey.(crypto.Signer)}).encodeKey()
	if err != nil {
		t.Fatal(err)
	}
	otherData := encoded(t, trust{current: other})

	for name, c := range map[string]struct {
		change   map[string][]byte // nil: the key is removed
		wantFlaw string
		wantStep step
	}{
		"no private key":        {map[string][]byte{"tls.key": nil}, "reading tls.crt: tls: failed to find any PEM data in key input", promote},
		"another's private key": {map[string][]byte{"tls.key": otherData["tls.key"]}, "private key does not match public key", promote},
		"garbage":               {map[string][]byte{"tls.crt": []byte("garbage")}, "reading tls.crt", promote},
		"a serving certificate in the CA's place": {
			map[string][]byte{"tls.crt": encodeCertificate(leaf.Leaf), "tls.key": leafKey}, errNotAuthority.Error(), promote,
		},
		"nothing that signs": {
			map[string][]byte{"tls.key": nil, "next.key": nil}, "reading next.crt", found,
		},
		"half a next CA":      {map[string][]byte{"next.key": nil}, "reading next.crt", tidy},
		"no time":             {map[string][]byte{"next.published": []byte("yesterday")}, "reading next.published", tidy},
		"no bundle":           {map[string][]byte{"ca.crt": nil}, "reading ca.crt: it is not the current CA, the next", tidy},
		"a bundle of another": {map[string][]byte{"ca.crt": otherData["ca.crt"]}, "reading ca.crt: it is not the current CA, the next", tidy},
		"text in the bundle": {
			map[string][]byte{"ca.crt": append(whole.bundle(), "and more"...)}, "text that is not PEM", tidy,
		},
		"a leaf in the bundle": {
			map[string][]byte{"ca.crt": append(whole.bundle(), encodeCertificate(leaf.Leaf)...)}, errNotAuthority.Error(), tidy,
		},
		"a broken certificate in the bundle": {
			map[string][]byte{"ca.crt": append(whole.bundle(), pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: []byte{1}})...)}, "reading ca.crt: x509", tidy,
		},
	} {
		t.Run(name, func(t *testing.T) {
			data := maps.Clone(encoded(t, whole))
			for key, value := range c.change {
				if data[key] = value; value == nil {
					delete(data, key)
				}
			}
			damaged := decode(data)
			if damaged.flaw == nil || !strings.Contains(damaged.flaw.Error(), c.wantFlaw) {
				t.Fatalf("flaw: %v, want %q in it", damaged.flaw, c.wantFlaw)
			}
			noKeyIn(t, damaged.flaw.Error(), data)
			if got := plan(damaged, true, start); got != c.wantStep {
				t.Fatalf("plan: %s, want %s", got, c.wantStep)
			}
			mended := decode(encoded(t, advance(t, damaged, c.wantStep, start.Add(time.Minute))))
			if mended.flaw != nil {
				t.Errorf("after %s: %v", c.wantStep, mended.flaw)
			}
			for _, believed := range damaged.certificates() {
				if !contains(mended.certificates(), believed) {
					t.Errorf("after %s a CA is no longer believed", c.wantStep)
				}
			}
		})
	}
}

func noKeyIn(t *testing.T, text string, data map[string][]byte) {
	t.Helper()
	for _, key := range []string{"tls.key", "next.key"} {
		for _, line := range bytes.Fields(data[key]) {
			if len(line) > 8 && strings.Contains(text, string(line)) {
				t.Errorf("the text repeats a line of %s", key)
			}
		}
	}
}
