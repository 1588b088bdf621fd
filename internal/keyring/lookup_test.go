package keyring

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"usersecrets.dev/operator/internal/envelope"
)

// A replica that missed a rotation heals itself.
func TestUnknownKeyIsLookedUpLive(t *testing.T) {
	v := makeVault(t)
	lists := 0
	stale := v.keyringOver(v.counting(&lists))
	bootstrap(t, stale)
	fresh := v.startedKeyring()
	ensureKey(t, fresh, "v2")
	text, before := seal(t, fresh, place, "value"), lists
	checkOpens(t, stale, text, place, "value")
	checkOpens(t, stale, text, place, "value")
	if lists != before+1 {
		t.Errorf("looked %d times, want once", lists-before)
	}
}

// What is wrong with anything but the key is not looked for.
func TestKnownKeysAreNotLookedUp(t *testing.T) {
	v := makeVault(t)
	lists := 0
	k := v.keyringOver(v.counting(&lists))
	bootstrap(t, k)
	text := seal(t, k, place, "value")
	lists = 0
	checkOpens(t, k, text, place, "value")
	elsewhere := place
	elsewhere.Name = "slack"
	if _, err := k.OpenText(context.Background(), text, elsewhere); !errors.Is(err, envelope.ErrNotOpened) {
		t.Errorf("error %v, want ErrNotOpened", err)
	}
	elsewhere.Owner = ""
	if _, err := k.OpenText(context.Background(), text, elsewhere); !errors.Is(err, envelope.ErrBinding) {
		t.Errorf("error %v, want ErrBinding", err)
	}
	if lists != 0 {
		t.Errorf("looked %d times", lists)
	}
}

// Made-up key ids do not become load on the API server.
func TestUnknownKeyIsLookedUpOnceASecond(t *testing.T) {
	v := makeVault(t)
	lists := 0
	k := v.keyringOver(v.counting(&lists))
	bootstrap(t, k)
	foreign := seal(t, makeVault(t).startedKeyring(), place, "value")
	tests := []struct {
		after     time.Duration
		wantLists int
	}{
		{after: 0, wantLists: 1},
		{after: 0, wantLists: 1},
		{after: time.Second - time.Nanosecond, wantLists: 1},
		{after: time.Nanosecond, wantLists: 2},
		{after: time.Hour, wantLists: 3},
		{after: time.Millisecond, wantLists: 3},
	}
	lists = 0
	for i, tt := range tests {
		v.clock.SetTime(v.clock.Now().Add(tt.after))
		if _, err := k.OpenText(context.Background(), foreign, place); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("step %d: error %v, want ErrUnknownKey", i, err)
		}
		if lists != tt.wantLists {
			t.Errorf("step %d: looked %d times, want %d", i, lists, tt.wantLists)
		}
	}
}

// Nor while it fails; and a key that could not be looked for is not called
// unknown, which would tell its owner to seal the value again.
func TestLookupFailureIsRemembered(t *testing.T) {
	v := makeVault(t)
	down, lists := errors.New("the API server is down"), 0
	k := v.keyring()
	bootstrap(t, k)
	k.store.client = v.intercept(interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			lists++
			return down
		},
	})
	foreign := seal(t, makeVault(t).startedKeyring(), place, "value")
	const wantError = `looking for an unknown key: listing key material in namespace "usersecrets-system": the API server is down`
	for i := range 3 {
		_, err := k.OpenText(context.Background(), foreign, place)
		if !errors.Is(err, down) || errors.Is(err, ErrUnknownKey) || err.Error() != wantError || lists != 1 {
			t.Errorf("attempt %d: looked %d times, error %v,\nwant %s", i, lists, err, wantError)
		}
	}
	k.store.client = v.client
	v.clock.SetTime(v.clock.Now().Add(time.Second))
	if _, err := k.OpenText(context.Background(), foreign, place); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("once it answers: error %v, want ErrUnknownKey", err)
	}
}

// One caller that gave up does not speak for the next.
func TestLookupCancelledIsNotRemembered(t *testing.T) {
	v := makeVault(t)
	k := v.keyringOver(v.intercept(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return c.List(ctx, list, opts...)
		},
	}))
	bootstrap(t, k)
	fresh := v.startedKeyring()
	ensureKey(t, fresh, "v2")
	text := seal(t, fresh, place, "value")
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := k.OpenText(cancelled, text, place); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	checkOpens(t, k, text, place, "value")
}

// A slow look must not put an older list in place of a newer one: there is one
// look at a time.
func TestReloadsDoNotOvertake(t *testing.T) {
	v := makeVault(t)
	var k *Keyring
	looks := 0
	k = v.keyringOver(v.intercept(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, ok := list.(*corev1.SecretList); ok {
				looks++
				if k.reloading.TryLock() {
					t.Error("another look could begin before this one has ended")
					k.reloading.Unlock()
				}
			}
			return c.List(ctx, list, opts...)
		},
	}))
	bootstrap(t, k)
	if looks == 0 {
		t.Error("there was no look")
	}
}

// Reloading keeps the identity key, without which value ids would all change.
func TestReloadKeepsTheIdentityKey(t *testing.T) {
	v := makeVault(t)
	k := v.startedKeyring()
	before := valueID(t, k, place, "value")
	v.delete("value-identity-key")
	if err := k.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	if after := valueID(t, k, place, "value"); after != before {
		t.Errorf("value id was %s, now %s", before, after)
	}
}

// A key that is gone from the vault is no longer listed.
func TestReloadForgetsDeletedKeys(t *testing.T) {
	v := makeVault(t)
	k := v.startedKeyring()
	ensureKey(t, k, "v2")
	v.delete("encryption-key-v1")
	if err := k.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	if keys := k.Keys(); len(keys) != 1 || !strings.HasPrefix(string(keys[0].ID), "v2-") {
		t.Errorf("keys are %v, want v2 alone", keys)
	}
}

// Material whose name makes no key id, which nothing here stores.
func TestReloadRefusesNames(t *testing.T) {
	v := makeVault(t)
	v.put(makeRoot(t, 32), newMaterial(kindEncryptionKey, strings.Repeat("v", 41), 1))
	if err := v.keyring().Reload(context.Background()); err == nil || !strings.HasPrefix(err.Error(), "the key id is malformed: ") {
		t.Errorf("error %v", err)
	}
}

// counting counts the lists that reach the API server.
func (v *vault) counting(lists *int) client.Client {
	return v.intercept(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			*lists++
			return c.List(ctx, list, opts...)
		},
	})
}
