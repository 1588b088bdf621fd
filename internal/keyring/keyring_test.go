package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
)

func valueOf(text string) secretvalue.Value { return secretvalue.FromString(text) }

func TestSealAndOpen(t *testing.T) {
	v := makeVault(t)
	k := v.keyring()
	bootstrap(t, k)
	old := seal(t, k, place, "value")
	checkOpens(t, k, old, place, "value")
	ensureKey(t, k, "v2")
	checkOpens(t, k, old, place, "value")
	active, err := k.Active()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := envelope.Parse(seal(t, k, place, "value"))
	if err != nil || sealed.KeyID() != active.ID || active.Name != "v2" {
		t.Errorf("sealed with %s, error %v; want the active key, v2", sealed.KeyID(), err)
	}
	checkOpens(t, v.startedKeyring(), old, place, "value")
}

// The public key is one owner's under one key, the same on every replica.
func TestPublicKey(t *testing.T) {
	v := makeVault(t)
	k := v.startedKeyring()
	alice := publicKey(t, k, "alice")
	if other := publicKey(t, v.startedKeyring(), "alice"); !bytes.Equal(alice.Bytes(), other.Bytes()) || alice.KeyID() != other.KeyID() {
		t.Errorf("two replicas have keys %s and %s", alice.Fingerprint(), other.Fingerprint())
	}
	if bob := publicKey(t, k, "bob"); bytes.Equal(alice.Bytes(), bob.Bytes()) {
		t.Error("alice and bob have the same key")
	}
	ensureKey(t, k, "v2")
	if next := publicKey(t, k, "alice"); bytes.Equal(alice.Bytes(), next.Bytes()) || next.KeyID().Name() != "v2" {
		t.Errorf("after a rotation the key is %s of %s", next.Fingerprint(), next.KeyID())
	}
	text, err := alice.Seal(place, valueOf("value"))
	if err != nil {
		t.Fatal(err)
	}
	checkOpens(t, k, text, place, "value")
}

func publicKey(t *testing.T, k *Keyring, owner string) *envelope.PublicKey {
	t.Helper()
	key, err := k.PublicKey(owner)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestOpenRefuses(t *testing.T) {
	k := makeVault(t).startedKeyring()
	text := seal(t, k, place, "value")
	foreign := seal(t, makeVault(t).startedKeyring(), place, "value")
	foreignID := strings.Split(foreign, ".")[1]
	tests := map[string]struct {
		text      string
		place     envelope.Binding
		wantErr   error
		wantError string
	}{
		"plaintext":         {text: "sk-canary", place: place, wantErr: envelope.ErrVersion},
		"another owner":     {text: text, place: envelope.Binding{Owner: "bob", Namespace: place.Namespace, Name: place.Name}, wantErr: envelope.ErrNotOpened},
		"another namespace": {text: text, place: envelope.Binding{Owner: "alice", Namespace: "bob-flows", Name: place.Name}, wantErr: envelope.ErrNotOpened},
		"another name":      {text: text, place: envelope.Binding{Owner: "alice", Namespace: place.Namespace, Name: "slack"}, wantErr: envelope.ErrNotOpened},
		"no owner":          {text: text, place: envelope.Binding{Namespace: place.Namespace, Name: place.Name}, wantErr: envelope.ErrBinding},
		"no name":           {text: text, place: envelope.Binding{Owner: "alice", Namespace: place.Namespace}, wantErr: envelope.ErrBinding},
		"another vault": {
			text: foreign, place: place, wantErr: ErrUnknownKey,
			wantError: "unknown encryption key " + foreignID + ": it was sealed for another vault, or the key was deleted; seal the value again with 'kubectl usersecret seal'",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			value, err := k.OpenText(context.Background(), tt.text, tt.place)
			if !errors.Is(err, tt.wantErr) || value.Len() != 0 {
				t.Fatalf("opened to %d bytes, error %v; want %v", value.Len(), err, tt.wantErr)
			}
			if tt.wantError != "" && err.Error() != tt.wantError {
				t.Errorf("error %v,\nwant %s", err, tt.wantError)
			}
		})
	}
}

func TestSealRefuses(t *testing.T) {
	k := makeVault(t).startedKeyring()
	tests := map[string]struct {
		place   envelope.Binding
		value   string
		wantErr error
	}{
		"no owner":        {place: envelope.Binding{Namespace: "alice-flows", Name: "openai"}, value: "value", wantErr: envelope.ErrBinding},
		"no name":         {place: envelope.Binding{Owner: "alice", Namespace: "alice-flows"}, value: "value", wantErr: envelope.ErrBinding},
		"empty value":     {place: place, wantErr: envelope.ErrValueEmpty},
		"too large value": {place: place, value: strings.Repeat("a", envelope.MaxValueLength+1), wantErr: envelope.ErrValueTooLong},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if text, err := k.Seal(tt.place, valueOf(tt.value)); !errors.Is(err, tt.wantErr) || text != "" {
				t.Errorf("sealed to %q, error %v; want %v", text, err, tt.wantErr)
			}
		})
	}
}

func TestEmptyVault(t *testing.T) {
	k := makeVault(t).keyring()
	if key, err := k.Active(); !errors.Is(err, ErrNoKey) || err.Error() != "the vault has no encryption key" || key != (Key{}) {
		t.Errorf("Active = %v, %v", key, err)
	}
	if key, err := k.PublicKey("alice"); !errors.Is(err, ErrNoKey) || key != nil {
		t.Errorf("PublicKey = %v, %v", key, err)
	}
	if text, err := k.Seal(place, valueOf("value")); !errors.Is(err, ErrNoKey) || text != "" {
		t.Errorf("Seal = %q, %v", text, err)
	}
	if id, err := k.ValueID(place, valueOf("value")); !errors.Is(err, ErrNoKey) || id != "" {
		t.Errorf("ValueID = %q, %v", id, err)
	}
	if keys := k.Keys(); len(keys) != 0 {
		t.Errorf("Keys = %v", keys)
	}
}

func TestUserKeysAreKeptAndBounded(t *testing.T) {
	k := makeVault(t).startedKeyring()
	active, err := k.Active()
	if err != nil {
		t.Fatal(err)
	}
	userKey := func(owner string) *envelope.UserKey {
		key, err := k.userKey(active.ID, owner)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	first := userKey("alice")
	if userKey("alice") != first {
		t.Error("alice's key is derived again at once")
	}
	for i := range maxUserKeys {
		userKey(fmt.Sprintf("user-%d", i))
	}
	if n := k.users.Len(); n != maxUserKeys {
		t.Errorf("%d user keys are kept, want %d", n, maxUserKeys)
	}
	if userKey("alice") == first {
		t.Error("alice's key outlasted as many others as are kept")
	}
}

// Key bytes appear in nothing that prints a keyring's answers.
func TestKeysShowNoMaterial(t *testing.T) {
	k := makeVault(t).startedKeyring()
	for _, key := range k.Keys() {
		checkNoKeyBytes(t, fmt.Sprintf("%v %+v %#v", key, key, key), k.versions[0].material.key)
	}
}

func TestDefaults(t *testing.T) {
	got := Config{}.withDefaults()
	if got.Clock != (clock.RealClock{}) || got.UserKeyTTL != 5*time.Minute {
		t.Errorf("clock is %T, user keys are kept for %s; want the system's and 5m0s", got.Clock, got.UserKeyTTL)
	}
	chosen := clocktesting.NewFakeClock(noon)
	got = Config{Clock: chosen, UserKeyTTL: time.Second}.withDefaults()
	if got.Clock != clock.Clock(chosen) || got.UserKeyTTL != time.Second {
		t.Errorf("clock is %T, user keys are kept for %s; want what was configured", got.Clock, got.UserKeyTTL)
	}
}

// The time is that of a bubble, since the cache of user keys reads the system's.
func TestUserKeysAreKeptForAsLongAsConfigured(t *testing.T) {
	for name, tt := range map[string]struct{ configured, want time.Duration }{
		"by default":    {want: 5 * time.Minute},
		"as configured": {configured: time.Hour, want: time.Hour},
	} {
		v := makeVault(t)
		k := New(Config{Client: v.client, Namespace: namespace, Roots: []Root{makeRoot(t, 32)}, Clock: v.clock, UserKeyTTL: tt.configured})
		bootstrap(t, k)
		id := k.Keys()[0].ID
		synctest.Test(t, func(t *testing.T) {
			first, err := k.userKey(id, "alice")
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(tt.want)
			if again, _ := k.userKey(id, "alice"); again != first {
				t.Errorf("%s: derived again within %s", name, tt.want)
			}
			time.Sleep(time.Nanosecond)
			if again, _ := k.userKey(id, "alice"); again == first {
				t.Errorf("%s: kept for longer than %s", name, tt.want)
			}
		})
	}
}
