package keyring

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"usersecrets.dev/operator/internal/envelope"
)

// removedObject deletes an EncryptionKey, which leaves its material.
func (v *vault) removedObject(name string) {
	v.t.Helper()
	if err := v.client.Delete(context.Background(), makeEncryptionKey(name)); err != nil {
		v.t.Fatal(err)
	}
}

func TestRemoval(t *testing.T) {
	v, k, first, second := twoKeys(t)
	ctx := context.Background()
	checkOpens(t, k, first, place, "first")
	follower := v.startedKeyring()
	checkOpens(t, follower, first, place, "first")
	key := follower.versions[0].material.key

	if err := k.ApproveRemoval(ctx, "v1"); err != nil {
		t.Fatal(err)
	}
	if note := v.secret("encryption-key-v1").Annotations[RemovalAnnotation]; note != "2026-03-01T12:00:00Z" {
		t.Errorf("noted %q", note)
	}
	if at := k.Keys()[0].Removable; !at.Equal(noon) {
		t.Errorf("removable since %s, want %s", at, noon)
	}
	checkOpens(t, k, first, place, "first")
	v.removedObject("v1")
	reload(t, follower)
	checkOpens(t, follower, first, place, "first")

	if err := k.Remove(ctx, "v1"); err != nil {
		t.Fatal(err)
	}
	reload(t, follower)
	checkErased(t, "the key that was removed", key)
	for what, keyring := range map[string]*Keyring{"the leader": k, "a follower": follower, "after a restart": v.startedKeyring()} {
		checkNames(t, keyring, "v2")
		if problem := keyring.Problem("v1"); problem != nil {
			t.Errorf("%s: %v", what, problem)
		}
		for _, ref := range keyring.users.Keys() {
			if ref.keyID == envelope.KeyID(keyID(first)) {
				t.Errorf("%s keeps a user key of the key that was removed", what)
			}
		}
		checkDoesNotOpen(t, keyring, first, ErrUnknownKey, unknownKey(first))
		checkOpens(t, keyring, second, place, "second")
	}
}

func TestRemovalIsRefused(t *testing.T) {
	const active = `the active key cannot be removed: "v2" seals new values`
	tests := map[string]struct {
		prepare   func(v *vault, k *Keyring)
		try       func(*Keyring, context.Context, string) error
		name      string
		wantErr   error
		wantError string
	}{
		"approving that of the active key": {try: (*Keyring).ApproveRemoval, name: "v2", wantErr: ErrActiveKey, wantError: active},
		"of the active key, though noted by hand": {
			prepare: func(v *vault, _ *Keyring) {
				v.alter("encryption-key-v2", func(s *corev1.Secret) { s.Annotations[RemovalAnnotation] = "2026-03-01T12:00:00Z" })
			},
			try: (*Keyring).Remove, name: "v2", wantErr: ErrActiveKey, wantError: active,
		},
		"without approval": {try: (*Keyring).Remove, name: "v1", wantError: `removing encryption key "v1": its removal was not approved`},
		"with a note that is no time": {
			prepare: func(v *vault, _ *Keyring) {
				v.alter("encryption-key-v1", func(s *corev1.Secret) { s.Annotations[RemovalAnnotation] = "yes" })
			},
			try: (*Keyring).Remove, name: "v1", wantError: `removing encryption key "v1": its removal was not approved`,
		},
		"after the approval was withdrawn": {
			prepare: func(v *vault, k *Keyring) {
				if err := errors.Join(k.ApproveRemoval(context.Background(), "v1"), k.WithdrawRemoval(context.Background(), "v1")); err != nil {
					v.t.Fatal(err)
				}
			},
			try: (*Keyring).Remove, name: "v1", wantError: `removing encryption key "v1": its removal was not approved`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v, k, first, second := twoKeys(t)
			if tt.prepare != nil {
				tt.prepare(v, k)
			}
			err := tt.try(k, context.Background(), tt.name)
			if err == nil || err.Error() != tt.wantError || tt.wantErr != nil && !errors.Is(err, tt.wantErr) {
				t.Errorf("error %v,\nwant %s", err, tt.wantError)
			}
			started := v.startedKeyring()
			checkOpens(t, started, first, place, "first")
			checkOpens(t, started, second, place, "second")
		})
	}
}

// An approval is taken back also from a key that became the active one since.
func TestWithdrawRemovalOfTheActiveKey(t *testing.T) {
	v, k, _, _ := twoKeys(t)
	v.alter("encryption-key-v2", func(s *corev1.Secret) { s.Annotations[RemovalAnnotation] = "2026-03-01T12:00:00Z" })
	if err := k.WithdrawRemoval(context.Background(), "v2"); err != nil {
		t.Fatal(err)
	}
	if _, ok := v.secret("encryption-key-v2").Annotations[RemovalAnnotation]; ok || !k.Keys()[1].Removable.IsZero() {
		t.Error("the approval is still there")
	}
}

// A newest key that is broken for good may be let go; then the one before it seals.
func TestRemovalOfABrokenNewestKey(t *testing.T) {
	v, _, _, _ := twoKeys(t)
	v.alter("encryption-key-v2", func(s *corev1.Secret) { s.Data["wrapped"][40] ^= 1 })
	k, ctx := v.startedKeyring(), context.Background()
	if err := k.ApproveRemoval(ctx, "v2"); err != nil {
		t.Fatal(err)
	}
	v.removedObject("v2")
	if err := k.Remove(ctx, "v2"); err != nil {
		t.Fatal(err)
	}
	if active, err := k.Active(); err != nil || active.Name != "v1" {
		t.Errorf("active is %q, error %v; want v1", active.Name, err)
	}
}

func TestRemovalOfNothing(t *testing.T) {
	v, k, _, _ := twoKeys(t)
	ctx, before := context.Background(), v.secrets()
	if err := errors.Join(k.ApproveRemoval(ctx, "v9"), k.WithdrawRemoval(ctx, "v9"), k.Remove(ctx, "v9")); err != nil {
		t.Error(err)
	}
	if len(before) != len(v.secrets()) {
		t.Errorf("there were %d Secrets, now %d", len(before), len(v.secrets()))
	}
}

// A Secret that was changed since it was read is not deleted.
func TestRemoveDeletesOnlyWhatItRead(t *testing.T) {
	v, k, first, _ := twoKeys(t)
	ctx := context.Background()
	if err := k.ApproveRemoval(ctx, "v1"); err != nil {
		t.Fatal(err)
	}
	read := v.secret("encryption-key-v1")
	k.store.client = v.intercept(interceptor.Funcs{
		Delete: func(_ context.Context, _ client.WithWatch, object client.Object, opts ...client.DeleteOption) error {
			o := &client.DeleteOptions{}
			o.ApplyOptions(opts)
			if o.Preconditions == nil || *o.Preconditions.UID != read.UID || *o.Preconditions.ResourceVersion != read.ResourceVersion {
				t.Errorf("deleted on condition of %+v, want UID %q and version %s", o.Preconditions, read.UID, read.ResourceVersion)
			}
			return conflict(object.GetName())
		},
	})
	err := k.Remove(ctx, "v1")
	if !apierrors.IsConflict(err) || err.Error() != `deleting Secret "encryption-key-v1": Operation cannot be fulfilled on secrets "encryption-key-v1": it was changed` {
		t.Errorf("error %v", err)
	}
	checkOpens(t, k, first, place, "first")
}

func TestRemovalFailures(t *testing.T) {
	down := errors.New("the API server is down")
	v, k, _, _ := twoKeys(t)
	ctx := context.Background()
	k.store.client = v.intercept(interceptor.Funcs{
		Update: func(context.Context, client.WithWatch, client.Object, ...client.UpdateOption) error { return down },
	})
	checkError(t, k.ApproveRemoval(ctx, "v1"), down, `writing Secret "encryption-key-v1": the API server is down`)
	k.store.client = v.intercept(interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return down
		},
	})
	checkError(t, k.ApproveRemoval(ctx, "v1"), down, `reading Secret "encryption-key-v1": the API server is down`)
	checkError(t, k.WithdrawRemoval(ctx, "v1"), down, `reading Secret "encryption-key-v1": the API server is down`)
	checkError(t, k.Remove(ctx, "v1"), down, `reading Secret "encryption-key-v1": the API server is down`)
}

// Approved twice, the later time counts.
func TestRemovalApprovedAgain(t *testing.T) {
	v, k, _, _ := twoKeys(t)
	for range 2 {
		v.clock.Step(time.Minute)
		if err := k.ApproveRemoval(context.Background(), "v1"); err != nil {
			t.Fatal(err)
		}
	}
	if at := k.Keys()[0].Removable; !at.Equal(noon.Add(2 * time.Minute)) {
		t.Errorf("removable since %s", at)
	}
}
