package keyring

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
)

// A replica that missed a rotation heals itself.
func TestUnknownKeyIsLookedUpLive(t *testing.T) {
	v := makeVault(t)
	looks := 0
	stale := v.keyringOver(v.counting(&looks))
	bootstrap(t, stale)
	fresh := v.startedKeyring()
	ensureKey(t, fresh, "v2")
	text, before := seal(t, fresh, place, "value"), looks
	checkOpens(t, stale, text, place, "value")
	checkOpens(t, stale, text, place, "value")
	if looks != before+1 {
		t.Errorf("looked %d times, want once", looks-before)
	}
}

// What is wrong with anything but the key is not looked for.
func TestKnownKeysAreNotLookedUp(t *testing.T) {
	v := makeVault(t)
	looks := 0
	k := v.keyringOver(v.counting(&looks))
	bootstrap(t, k)
	text := seal(t, k, place, "value")
	looks = 0
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
	if looks != 0 {
		t.Errorf("looked %d times", looks)
	}
}

// Made-up key ids do not become load on the API server: within a second of one
// look, whoever asks waits for the next, and that serves all that wait.
func TestUnknownKeyIsLookedUpOnceASecond(t *testing.T) {
	v := makeVault(t)
	looks := 0
	k := v.keyringOver(v.counting(&looks))
	bootstrap(t, k)
	foreign := seal(t, makeVault(t).startedKeyring(), place, "value")
	looks = 0
	checkDoesNotOpen(t, k, foreign, ErrUnknownKey, unknownKey(foreign))
	if looks != 1 {
		t.Fatalf("looked %d times, want once", looks)
	}
	// While they wait, a key is made elsewhere.
	other := v.startedKeyring()
	ensureKey(t, other, "v2")
	made := seal(t, other, place, "value")
	asked := v.clock.Now()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := k.reloadOnce(context.Background(), asked); err != nil {
				t.Errorf("looking: %v", err)
			}
		})
	}
	v.awaitWaiter()
	v.clock.Step(time.Second - time.Nanosecond)
	if looks != 1 || !v.clock.HasWaiters() {
		t.Errorf("within the second, looked %d times", looks)
	}
	v.clock.Step(time.Nanosecond)
	group.Wait()
	if looks != 2 {
		t.Errorf("looked %d times, want 2", looks)
	}
	checkOpens(t, k, made, place, "value")
	v.clock.Step(time.Second)
	checkDoesNotOpen(t, k, foreign, ErrUnknownKey, unknownKey(foreign))
	if looks != 3 {
		t.Errorf("a second later, looked %d times, want 3", looks)
	}
}

// awaitWaiter returns once a goroutine waits for the fake clock.
func (v *vault) awaitWaiter() {
	for !v.clock.HasWaiters() {
		runtime.Gosched()
	}
}

func unknownKey(text string) string {
	return "unknown encryption key " + keyID(text) + ": it was sealed for another vault, or the key was deleted; seal the value again with 'kubectl usersecret seal'"
}

// A key that is made while a look goes on is not called unknown by that look.
func TestLookServesOnlyThoseWhoAskedBeforeIt(t *testing.T) {
	v := makeVault(t)
	other := v.startedKeyring()
	foreign := seal(t, makeVault(t).startedKeyring(), place, "value")
	k := v.keyring()
	bootstrap(t, k)
	var made string
	var asked time.Time
	var once sync.Once
	looks := 0
	k.store.client = v.intercept(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			err := c.List(ctx, list, opts...)
			if kindOf(list) == "SecretList" {
				looks++
				once.Do(func() {
					ensureKey(t, other, "v2")
					made = seal(t, other, place, "value")
					v.clock.Step(time.Millisecond)
					asked = v.clock.Now()
					v.clock.Step(time.Millisecond)
				})
			}
			return err
		},
	})
	checkDoesNotOpen(t, k, foreign, ErrUnknownKey, unknownKey(foreign))
	v.clock.Step(time.Second)
	if err := k.reloadOnce(context.Background(), asked); err != nil || looks != 2 {
		t.Errorf("looked %d times, error %v; want a look of its own", looks, err)
	}
	checkOpens(t, k, made, place, "value")
}

// Nor does failing become load; and a key that could not be looked for is not
// called unknown, which would tell its owner to seal the value again.
func TestLookupFailureIsToldToAllThatWait(t *testing.T) {
	v := makeVault(t)
	down, looks := errors.New("the API server is down"), 0
	k := v.keyring()
	bootstrap(t, k)
	k.store.client = v.intercept(interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			looks++
			return down
		},
	})
	foreign := seal(t, makeVault(t).startedKeyring(), place, "value")
	const wantError = `looking for an unknown key: listing EncryptionKeys: the API server is down`
	_, err := k.OpenText(context.Background(), foreign, place)
	if checkError(t, err, down, wantError); errors.Is(err, ErrUnknownKey) {
		t.Error("the key is called unknown")
	}
	asked := v.clock.Now()
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() { checkError(t, k.reloadOnce(context.Background(), asked), down, wantError) })
	}
	v.awaitWaiter()
	v.clock.Step(time.Second)
	group.Wait()
	if looks != 2 {
		t.Errorf("looked %d times, want 2", looks)
	}
	k.store.client = v.client
	v.clock.Step(time.Second)
	checkDoesNotOpen(t, k, foreign, ErrUnknownKey, unknownKey(foreign))
}

// Who waits for the next look may give up.
func TestWaitingForALookEndsWithItsContext(t *testing.T) {
	v := makeVault(t)
	looks := 0
	k := v.keyringOver(v.counting(&looks))
	bootstrap(t, k)
	foreign := seal(t, makeVault(t).startedKeyring(), place, "value")
	checkDoesNotOpen(t, k, foreign, ErrUnknownKey, unknownKey(foreign))
	looks = 0
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := k.OpenText(cancelled, foreign, place)
	checkError(t, err, context.Canceled, "looking for an unknown key: context canceled")
	if looks != 0 {
		t.Errorf("looked %d times", looks)
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

// Between the look at material and that at objects, another replica makes a key.
// It is not called lost, which would stop sealing for a moment at every rotation.
func TestReloadMeetsAKeyInTheMaking(t *testing.T) {
	v := makeVault(t)
	leader := v.startedKeyring()
	v.register(leader)
	var once sync.Once
	k := v.keyringOver(v.intercept(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			err := c.List(ctx, list, opts...)
			if _, ok := list.(*corev1.SecretList); ok {
				once.Do(func() {
					ensureKey(t, leader, "v2")
					made := leader.Keys()[1]
					object := makeEncryptionKey("v2")
					object.Status = v1alpha1.EncryptionKeyStatus{KeyID: string(made.ID), Sequence: 2}
					v.create(object)
				})
			}
			return err
		},
	}))
	reload(t, k)
	if err := k.Problem("v2"); err != nil {
		t.Errorf("a key in the making: %v", err)
	}
	if active, err := k.Active(); err != nil || active.Name != "v1" {
		t.Errorf("active is %q, error %v; want v1", active.Name, err)
	}
	reload(t, k)
	checkNames(t, k, "v1", "v2")
}

// Between the look at objects and that at material, another replica lets a key go.
func TestReloadMeetsAKeyThatIsLetGo(t *testing.T) {
	v := makeVault(t)
	k := v.startedKeyring()
	ensureKey(t, k, "v2")
	v.register(k)
	lists := 0
	k.store.client = v.intercept(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			err := c.List(ctx, list, opts...)
			if lists++; lists == 1 {
				v.delete("encryption-key-v1")
				if err := v.client.Delete(ctx, makeEncryptionKey("v1")); err != nil {
					t.Error(err)
				}
			}
			return err
		},
	})
	reload(t, k)
	if err := k.Problem("v1"); err != nil {
		t.Errorf("a key that was let go: %v", err)
	}
	checkNames(t, k, "v2")
}
