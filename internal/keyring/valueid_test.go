package keyring

import (
	"testing"

	"usersecrets.dev/operator/internal/envelope"
)

func valueID(t *testing.T, k *Keyring, b envelope.Binding, value string) string {
	t.Helper()
	id, err := k.ValueID(b, valueOf(value))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// The id was computed apart from this program, by HKDF (RFC 5869) and HMAC (RFC
// 2104): a new way of making it would make every value look changed.
func TestValueIDStaysTheSame(t *testing.T) {
	v, root := makeVault(t), makeRoot(t, 32)
	v.put(root, material{kind: kindIdentityKey, name: kindIdentityKey, key: key32(64)})
	v.put(root, material{kind: kindEncryptionKey, name: "v1", sequence: 1, key: key32(128)})
	k := v.keyring(root)
	bootstrap(t, k)
	const want = "89d788f037f0c5636def1e112091c39a"
	if got := valueID(t, k, place, "sk-canary-0123456789"); got != want {
		t.Errorf("value id is %s, want %s", got, want)
	}
	ensureKey(t, k, "v2")
	if got := valueID(t, k, place, "sk-canary-0123456789"); got != want {
		t.Errorf("after a rotation, value id is %s, want %s", got, want)
	}
	if got := valueID(t, v.startedKeyring(), place, "sk-canary-0123456789"); got != want {
		t.Errorf("after a restart, value id is %s, want %s", got, want)
	}
}

func TestValueIDTellsValuesAndPlacesApart(t *testing.T) {
	k := makeVault(t).startedKeyring()
	ids := map[string]string{
		"this":              valueID(t, k, place, "value"),
		"another value":     valueID(t, k, place, "Value"),
		"a longer value":    valueID(t, k, place, "value\x00"),
		"another owner":     valueID(t, k, envelope.Binding{Owner: "bob", Namespace: place.Namespace, Name: place.Name}, "value"),
		"another namespace": valueID(t, k, envelope.Binding{Owner: "alice", Namespace: "bob-flows", Name: place.Name}, "value"),
		"another name":      valueID(t, k, envelope.Binding{Owner: "alice", Namespace: place.Namespace, Name: "slack"}, "value"),
		// The texts in a row are the same.
		"a boundary moved": valueID(t, k, envelope.Binding{Owner: "alice", Namespace: "alice-flowso", Name: "penai"}, "value"),
		"the name's end":   valueID(t, k, envelope.Binding{Owner: "alice", Namespace: place.Namespace, Name: "opena"}, "ivalue"),
		"another vault":    valueID(t, makeVault(t).startedKeyring(), place, "value"),
	}
	seen := map[string]string{}
	for name, id := range ids {
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s have the same id %s", name, other, id)
		}
		if seen[id] = name; len(id) != 32 {
			t.Errorf("%s: id %s has %d characters, want 32", name, id, len(id))
		}
	}
}
