package keyring

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var v1 = material{kind: kindEncryptionKey, name: "v1", sequence: 7, key: key32(100)}

func wrap(t testing.TB, root Root, m material) []byte {
	t.Helper()
	wrapped, err := m.wrap(context.Background(), root)
	if err != nil {
		t.Fatal(err)
	}
	return wrapped
}

func TestWrapRoundTrip(t *testing.T) {
	root := makeRoot(t, 32)
	got, err := unwrap(context.Background(), root, v1.kind, v1.name, wrap(t, root, v1))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v1, got, cmp.AllowUnexported(material{})); diff != "" {
		t.Errorf("unwrapped (-want +got):\n%s", diff)
	}
}

// The layout is what every vault was written in, so it may not change.
func TestWrapLayout(t *testing.T) {
	root := makeRoot(t, 32)
	plaintext, err := root.Unwrap(context.Background(), wrap(t, root, v1))
	if err != nil {
		t.Fatal(err)
	}
	want := "usersecrets.dev/key-material/1\x00\x00\x0eencryption-key\x00\x02v1\x00\x00\x00\x00\x00\x00\x00\x07" + string(key32(100))
	if diff := cmp.Diff([]byte(want), plaintext); diff != "" {
		t.Errorf("layout (-want +got):\n%s", diff)
	}
}

func TestUnwrapRefusesAnyFlippedBit(t *testing.T) {
	root := makeRoot(t, 32)
	wrapped := wrap(t, root, v1)
	const wantError = `key material was altered: encryption-key "v1" does not unwrap; restore its Secret from a backup`
	for i := range wrapped {
		for bit := range 8 {
			altered := bytes.Clone(wrapped)
			altered[i] ^= 1 << bit
			checkAltered(t, root, v1.kind, v1.name, altered, wantError)
		}
	}
	for _, n := range []int{0, 1, 12, len(wrapped) - 1} {
		checkAltered(t, root, v1.kind, v1.name, wrapped[:n], wantError)
	}
	checkAltered(t, root, v1.kind, v1.name, append(bytes.Clone(wrapped), 0), wantError)
}

// What the root key did wrap is refused where it is filed as something else.
func TestUnwrapRefusesAnotherPlace(t *testing.T) {
	root := makeRoot(t, 32)
	identity := material{kind: kindIdentityKey, name: kindIdentityKey, key: key32(100)}
	tests := map[string]struct {
		wrapped    []byte
		kind, name string
		wantError  string
	}{
		"renamed": {
			wrapped: wrap(t, root, v1), kind: kindEncryptionKey, name: "v2",
			wantError: `key material was altered: encryption-key "v2" holds other material; restore its Secret from a backup`,
		},
		"longer name": {
			wrapped: wrap(t, root, v1), kind: kindEncryptionKey, name: "v10",
			wantError: `key material was altered: encryption-key "v10" holds other material; restore its Secret from a backup`,
		},
		"an encryption key as identity key": {
			wrapped: wrap(t, root, v1), kind: kindIdentityKey, name: "v1",
			wantError: `key material was altered: value-identity-key "v1" holds other material; restore its Secret from a backup`,
		},
		"the identity key as encryption key": {
			wrapped: wrap(t, root, identity), kind: kindEncryptionKey, name: kindIdentityKey,
			wantError: `key material was altered: encryption-key "value-identity-key" holds other material; restore its Secret from a backup`,
		},
		// The same length, and the fields' texts in a row are the same.
		"a boundary moved": {
			wrapped: wrap(t, root, material{kind: "encryption-keyv", name: "1", key: key32(100)}), kind: kindEncryptionKey, name: "v1",
			wantError: `key material was altered: encryption-key "v1" holds other material; restore its Secret from a backup`,
		},
		"a short key": {
			wrapped: wrap(t, root, material{kind: kindEncryptionKey, name: "v1", key: key32(100)[:31]}), kind: kindEncryptionKey, name: "v1",
			wantError: `key material was altered: encryption-key "v1" holds other material; restore its Secret from a backup`,
		},
		"a long key": {
			wrapped: wrap(t, root, material{kind: kindEncryptionKey, name: "v1", key: append(key32(100), 1)}), kind: kindEncryptionKey, name: "v1",
			wantError: `key material was altered: encryption-key "v1" holds other material; restore its Secret from a backup`,
		},
		"nothing": {
			wrapped: wrapBytes(t, root, nil), kind: kindEncryptionKey, name: "v1",
			wantError: `key material was altered: encryption-key "v1" holds other material; restore its Secret from a backup`,
		},
		"another label": {
			wrapped: wrapBytes(t, root, bytes.Replace(append(v1.header(), v1.key...), []byte("material/1"), []byte("material/2"), 1)), kind: kindEncryptionKey, name: "v1",
			wantError: `key material was altered: encryption-key "v1" holds other material; restore its Secret from a backup`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			checkAltered(t, root, tt.kind, tt.name, tt.wrapped, tt.wantError)
		})
	}
}

func wrapBytes(t testing.TB, root Root, plaintext []byte) []byte {
	t.Helper()
	wrapped, err := root.Wrap(context.Background(), plaintext)
	if err != nil {
		t.Fatal(err)
	}
	return wrapped
}

func checkAltered(t *testing.T, root Root, kind, name string, wrapped []byte, wantError string) {
	t.Helper()
	m, err := unwrap(context.Background(), root, kind, name, wrapped)
	if !errors.Is(err, ErrTampered) || err.Error() != wantError || m.key != nil {
		t.Fatalf("unwrapped to %d key bytes, error %v,\nwant %s", len(m.key), err, wantError)
	}
}

// failingRoot is a root key that is out of reach, as a KMS may be.
type failingRoot struct{ err error }

func (failingRoot) ID() string                                       { return "failing" }
func (r failingRoot) Wrap(context.Context, []byte) ([]byte, error)   { return nil, r.err }
func (r failingRoot) Unwrap(context.Context, []byte) ([]byte, error) { return nil, r.err }

func TestWrapFailure(t *testing.T) {
	down := errors.New("the KMS is down")
	wrapped, err := v1.wrap(context.Background(), failingRoot{err: down})
	if !errors.Is(err, down) || err.Error() != `wrapping encryption-key "v1": the KMS is down` || wrapped != nil {
		t.Errorf("wrap = %v, error %v", wrapped, err)
	}
}

func TestNewMaterialIsRandom(t *testing.T) {
	a, b := newMaterial(kindEncryptionKey, "v1", 1), newMaterial(kindEncryptionKey, "v1", 1)
	if bytes.Equal(a.key, b.key) || len(a.key) != KeySize || bytes.Equal(a.key, make([]byte, KeySize)) {
		t.Errorf("two new keys: %d and %d bytes, equal %t", len(a.key), len(b.key), bytes.Equal(a.key, b.key))
	}
}

// observedRoot wraps nothing, and keeps what passes through it.
type observedRoot struct{ passed []byte }

func (*observedRoot) ID() string { return "observed" }

func (r *observedRoot) Wrap(_ context.Context, plaintext []byte) ([]byte, error) {
	r.passed = plaintext
	return bytes.Clone(plaintext), nil
}

func (r *observedRoot) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	r.passed = bytes.Clone(wrapped)
	return r.passed, nil
}

// Key bytes do not stay in memory where nothing needs them.
func TestPlaintextIsCleared(t *testing.T) {
	root := &observedRoot{}
	wrapped := wrap(t, root, v1)
	if !bytes.Equal(root.passed, make([]byte, len(root.passed))) {
		t.Error("wrapping leaves the plaintext in memory")
	}
	m, err := unwrap(context.Background(), root, v1.kind, v1.name, wrapped)
	if err != nil || !bytes.Equal(m.key, v1.key) {
		t.Errorf("unwrapped to %d bytes, error %v", len(m.key), err)
	}
	if !bytes.Equal(root.passed, make([]byte, len(root.passed))) {
		t.Error("unwrapping leaves the plaintext in memory")
	}
}
