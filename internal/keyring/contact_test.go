package keyring

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"usersecrets.dev/operator/api/v1alpha1"
)

// inContact is a vault whose root key lies in a KMS, with a contact that was just
// made and lasts for an hour.
func inContact(t *testing.T) (*vault, *kmsRoot, *Contact) {
	t.Helper()
	v, root := makeVault(t), makeKMS(t, "kms://one", 32)
	k := v.startedKeyring(root)
	v.register(k)
	return v, root, &Contact{Keys: k, Limit: time.Hour, last: v.clock.Now()}
}

const lockedError = `the root key cannot be reached since 2026-03-01T12:00:00Z, longer than --root-key-offline-limit: ` +
	`unwrapping encryption-key "v1": the root key cannot be reached: kms://one: connection refused`

func TestContactLocksAfterItsLimit(t *testing.T) {
	v, root, contact := inContact(t)
	k, ctx := contact.Keys, context.Background()
	text := seal(t, k, place, "value")
	before := valueID(t, k, place, "value")
	key, identity := k.versions[0].material.key, k.identity.material.key
	id := k.Keys()[0].ID

	root.away()
	v.clock.Step(time.Hour - time.Nanosecond)
	contact.Check(ctx)
	checkOpens(t, k, text, place, "value")

	v.clock.Step(time.Nanosecond)
	contact.Check(ctx)
	checkErased(t, "the encryption key", key)
	checkErased(t, "the identity key", identity)
	if n := k.users.Len(); n != 0 || len(k.Keys()) != 0 || k.Has(id) {
		t.Errorf("%d user keys and %d keys are at hand", n, len(k.Keys()))
	}
	checkLocked(t, k, text)
	checkError(t, k.Problem("v1"), ErrRootUnavailable, lockedError)

	// Nothing but contact brings the keys back.
	checkError(t, k.Reload(ctx), ErrRootUnavailable, lockedError)
	created, err := k.EnsureKey(ctx, "v2")
	if created {
		t.Error("a key was made")
	}
	checkError(t, err, ErrRootUnavailable, lockedError)
	checkError(t, k.ApproveRemoval(ctx, "v1"), ErrRootUnavailable, lockedError)
	checkError(t, k.Remove(ctx, "v1"), ErrRootUnavailable, lockedError)
	_, err = k.Rewrap(ctx)
	checkError(t, err, ErrRootUnavailable, lockedError)
	v.clock.Step(time.Hour)
	contact.Check(ctx)
	checkLocked(t, k, text)

	root.refusal = nil
	contact.Check(ctx)
	checkOpens(t, k, text, place, "value")
	if after := valueID(t, k, place, "value"); after != before || k.Problem("v1") != nil {
		t.Errorf("value id was %s, now %s; problem %v", before, after, k.Problem("v1"))
	}
	checkNames(t, k, "v1")

	// The limit counts from then.
	root.away()
	v.clock.Step(time.Hour - time.Nanosecond)
	contact.Check(ctx)
	checkOpens(t, k, text, place, "value")
}

func checkLocked(t *testing.T, k *Keyring, text string) {
	t.Helper()
	checkDoesNotOpen(t, k, text, ErrRootUnavailable, lockedError)
	_, err := k.Seal(place, valueOf("value"))
	checkError(t, err, ErrRootUnavailable, lockedError)
	_, err = k.PublicKey("alice")
	checkError(t, err, ErrRootUnavailable, lockedError)
	_, err = k.ValueID(place, valueOf("value"))
	checkError(t, err, ErrRootUnavailable, lockedError)
	_, err = k.Active()
	checkError(t, err, ErrRootUnavailable, lockedError)
}

func TestContactWithoutLimitNeverLocks(t *testing.T) {
	v, root, contact := inContact(t)
	contact.Limit = 0
	text := seal(t, contact.Keys, place, "value")
	root.away()
	v.clock.Step(1000 * time.Hour)
	contact.Check(context.Background())
	checkOpens(t, contact.Keys, text, place, "value")
}

// Every KMS that wraps something is asked once, by what it unwrapped before, and
// the API server, whose absence says nothing about a KMS, not at all.
func TestContactAsksEachKMSOnce(t *testing.T) {
	v := makeVault(t)
	one, two, unused := makeKMS(t, "kms://one", 32), makeKMS(t, "kms://two", 33), makeKMS(t, "kms://unused", 34)
	ensureKey(t, v.startedKeyring(one), "v2")
	k := v.startedKeyring(two, one, unused, makeRoot(t, 35))
	ensureKey(t, k, "v3")
	k.store.client = v.intercept(interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			t.Error("the API server was asked")
			return nil
		},
	})
	one.unwraps, two.unwraps, unused.unwraps = 0, 0, 0
	if err := k.ask(context.Background()); err != nil || one.unwraps != 1 || two.unwraps != 1 || unused.unwraps != 0 {
		t.Errorf("asked %d, %d and %d times, error %v; want once, once and never", one.unwraps, two.unwraps, unused.unwraps, err)
	}
	two.away()
	checkError(t, k.ask(context.Background()), ErrRootUnavailable, `unwrapping encryption-key "v3": the root key cannot be reached: kms://two: connection refused`)
}

// A KMS key that was made anew under its name is no contact: the one that the
// vault hangs on was taken away.
func TestContactNoticesAnotherKeyOfTheName(t *testing.T) {
	v, root, contact := inContact(t)
	root.LocalRoot = makeRoot(t, 99)
	v.clock.Step(time.Hour)
	contact.Check(context.Background())
	_, err := contact.Keys.Active()
	checkError(t, err, ErrRootUnavailable, `the root key cannot be reached since 2026-03-01T12:00:00Z, longer than --root-key-offline-limit: `+
		`key material was altered: encryption-key "v1" does not unwrap; restore its Secret from a backup`)
}

// That somebody alters a Secret is no sign of the KMS being away.
func TestContactIgnoresAlteredSecrets(t *testing.T) {
	v, _, contact := inContact(t)
	text := seal(t, contact.Keys, place, "value")
	v.alter("encryption-key-v1", func(s *corev1.Secret) { s.Data["wrapped"][40] ^= 1 })
	v.clock.Step(2 * time.Hour)
	contact.Check(context.Background())
	reload(t, contact.Keys)
	checkOpens(t, contact.Keys, text, place, "value")
}

// Once the KMS answers again, the vault stays locked for as long as it does not
// open, and what was loaded meanwhile does not stay in memory.
func TestUnlockingNeedsTheVault(t *testing.T) {
	v, root, contact := inContact(t)
	k, ctx := contact.Keys, context.Background()
	text := seal(t, k, place, "value")
	root.away()
	v.clock.Step(time.Hour)
	contact.Check(ctx)
	root.refusal = nil
	down := errors.New("the API server is down")
	k.store.client = v.intercept(interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return down },
	})
	contact.Check(ctx)
	checkLocked(t, k, text)
	k.store.client = v.client
	// Another key's KMS is away still.
	v.put(makeKMS(t, "kms://two", 33), newMaterial(kindEncryptionKey, "v2", 2))
	k.store.roots = append(k.store.roots, awayKMS(t, "kms://two"))
	contact.Check(ctx)
	checkLocked(t, k, text)
	if len(k.versions) != 0 || k.identity != nil {
		t.Errorf("%d keys are in memory", len(k.versions))
	}
	k.store.roots[1] = makeKMS(t, "kms://two", 33)
	contact.Check(ctx)
	checkOpens(t, k, text, place, "value")
	checkNames(t, k, "v1", "v2")
}

// A look that is under way when the keys are erased must not bring them back, nor
// leave erased keys to seal with.
func TestLockWaitsForALook(t *testing.T) {
	v, root, contact := inContact(t)
	k := contact.Keys
	text := seal(t, k, place, "value")
	locked := make(chan struct{})
	k.store.client = v.intercept(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, ok := list.(*v1alpha1.EncryptionKeyList); ok && k.reloading.TryLock() {
				k.reloading.Unlock()
				t.Error("keys could be erased during a look")
			}
			return c.List(ctx, list, opts...)
		},
	})
	root.away()
	v.clock.Step(time.Hour)
	reload(t, k)
	go func() {
		defer close(locked)
		contact.Check(context.Background())
	}()
	_ = k.Reload(context.Background())
	<-locked
	checkLocked(t, k, text)
	root.refusal = nil
	contact.Check(context.Background())
	checkOpens(t, k, text, place, "value")
}

// The time is that of a bubble: the check is made as often as asked for, and the
// limit counts from the start.
func TestContactChecksAsOftenAsConfigured(t *testing.T) {
	_, root, contact := inContact(t)
	contact.Every = time.Minute
	k := contact.Keys
	root.unwraps = 0
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- contact.Start(ctx) }()
		time.Sleep(3*time.Minute + time.Second)
		if root.unwraps != 3 {
			t.Errorf("in three minutes, asked %d times", root.unwraps)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stopped with %v", err)
		}
	})
	if _, err := k.Active(); err != nil {
		t.Errorf("locked by contact: %v", err)
	}
}

func TestContactRunsOnEveryReplica(t *testing.T) {
	if (&Contact{}).NeedLeaderElection() {
		t.Error("a replica that is not the leader holds keys too")
	}
}

func TestRemote(t *testing.T) {
	v := makeVault(t)
	local, remote := makeRoot(t, 32), makeKMS(t, "kms://one", 33)
	for want, roots := range map[bool][]Root{false: {local}, true: {local, remote}} {
		if got := v.keyring(roots...).Remote(); got != want {
			t.Errorf("Remote of %d root keys is %t, want %t", len(roots), got, want)
		}
	}
}
