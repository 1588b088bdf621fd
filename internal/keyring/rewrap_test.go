package keyring

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func checkRewrap(t *testing.T, k *Keyring, want int) {
	t.Helper()
	if written, err := k.Rewrap(context.Background()); err != nil || written != want {
		t.Errorf("rewrapped %d Secrets, error %v; want %d", written, err, want)
	}
}

// Rewrapped material, the identity key too, needs the former root key no more.
func TestRewrap(t *testing.T) {
	v, former, latter := makeVault(t), makeRoot(t, 32), makeRoot(t, 33)
	k := v.startedKeyring(former)
	first := seal(t, k, place, "first")
	ensureKey(t, k, "v2")
	second := seal(t, k, place, "second")
	id := valueID(t, k, place, "value")

	k = v.startedKeyring(latter, former)
	before := k.Keys()
	checkRewrap(t, k, 3)
	for _, name := range []string{"encryption-key-v1", "encryption-key-v2", "value-identity-key"} {
		if got := string(v.secret(name).Data["rootKeyID"]); got != latter.ID() {
			t.Errorf("%s is wrapped by %s, want %s", name, got, latter.ID())
		}
	}
	for i := range before {
		before[i].RootKeyID = latter.ID()
	}
	if diff := cmp.Diff(before, k.Keys()); diff != "" {
		t.Errorf("keys (-before +after, but for the root key):\n%s", diff)
	}

	stored := v.secrets()
	checkRewrap(t, k, 0)
	if diff := cmp.Diff(stored, v.secrets()); diff != "" {
		t.Errorf("rewrapped a second time (-before +after):\n%s", diff)
	}

	for what, keyring := range map[string]*Keyring{"running on": k, "with the new root key alone": v.startedKeyring(latter)} {
		checkOpens(t, keyring, first, place, "first")
		checkOpens(t, keyring, second, place, "second")
		if got := valueID(t, keyring, place, "value"); got != id {
			t.Errorf("%s: value id was %s, now %s", what, id, got)
		}
	}
	if err := v.keyring(former).Bootstrap(context.Background()); !errors.Is(err, ErrWrongRootKey) {
		t.Errorf("with the former root key alone: %v", err)
	}
}

// What is not wrapped any more by the root key that wraps is found by its id, so
// a KMS key that goes by another name now is written down by that name.
func TestRewrapWritesTheNewNameOfAKMSKey(t *testing.T) {
	v := makeVault(t)
	v.startedKeyring(makeKMS(t, "kms://alias/former", 32))
	k := v.startedKeyring(makeKMS(t, "kms://arn/1234", 32))
	checkRewrap(t, k, 2)
	if got := string(v.secret("encryption-key-v1").Data["rootKeyID"]); got != "kms://arn/1234" {
		t.Errorf("wrapped by %s", got)
	}
}

// What does not unwrap is left as it is, told, and keeps nothing else from it.
func TestRewrapPassesOverWhatIsBroken(t *testing.T) {
	v, former, latter := makeVault(t), makeRoot(t, 32), makeRoot(t, 33)
	ensureKey(t, v.startedKeyring(former), "v2")
	v.alter("encryption-key-v1", func(s *corev1.Secret) { s.Data["wrapped"][40] ^= 1 })
	broken := v.secret("encryption-key-v1")
	written, err := v.startedKeyring(latter, former).Rewrap(context.Background())
	checkError(t, err, ErrTampered, `key material was altered: encryption-key "v1" does not unwrap; restore its Secret from a backup`)
	if diff := cmp.Diff(broken, v.secret("encryption-key-v1")); diff != "" || written != 2 {
		t.Errorf("wrote %d, want 2; the broken Secret (-before +after):\n%s", written, diff)
	}
}

// Another replica was faster: its wrap stands, and the next call finds nothing to do.
func TestRewrapConflict(t *testing.T) {
	v, former, latter := makeVault(t), makeRoot(t, 32), makeRoot(t, 33)
	text := seal(t, v.startedKeyring(former), place, "value")
	other := v.startedKeyring(latter, former)
	raced := false
	k := v.keyringOver(v.intercept(interceptor.Funcs{
		Update: func(ctx context.Context, c client.WithWatch, object client.Object, opts ...client.UpdateOption) error {
			if !raced {
				raced = true
				checkRewrap(t, other, 2)
			}
			return c.Update(ctx, object, opts...)
		},
	}), latter, former)
	bootstrap(t, k)
	written, err := k.Rewrap(context.Background())
	if !apierrors.IsConflict(err) || written != 0 {
		t.Errorf("wrote %d Secrets, error %v; want conflicts", written, err)
	}
	checkRewrap(t, k, 0)
	checkOpens(t, v.startedKeyring(latter), text, place, "value")
}

// forgetful is a root key that does not unwrap what it wraps, as a KMS key may be
// that one is allowed to encrypt with alone.
type forgetful struct {
	*LocalRoot
	unwrap func([]byte) ([]byte, error)
}

func (forgetful) ID() string { return "forgetful" }

func (r forgetful) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	return r.unwrap(wrapped)
}

func TestRewrapWritesNothingThatDoesNotUnwrap(t *testing.T) {
	former := makeRoot(t, 32)
	const failed = `wrapping encryption-key "v1": the new root key does not unwrap what it wrapped`
	tests := map[string]struct {
		unwrap    func(v *vault) func([]byte) ([]byte, error)
		wantError string
	}{
		"refuses": {
			unwrap: func(*vault) func([]byte) ([]byte, error) {
				return func([]byte) ([]byte, error) { return nil, errors.New("access denied") }
			},
			wantError: failed + `: key material was altered: encryption-key "v1" does not unwrap; restore its Secret from a backup`,
		},
		"cannot be reached": {
			unwrap: func(*vault) func([]byte) ([]byte, error) {
				return func([]byte) ([]byte, error) { return nil, ErrRootUnavailable }
			},
			wantError: failed + `: unwrapping encryption-key "v1": the root key cannot be reached`,
		},
		"unwraps to another key": {
			unwrap: func(*vault) func([]byte) ([]byte, error) {
				return func([]byte) ([]byte, error) {
					m := material{kind: kindEncryptionKey, name: "v1", sequence: 1, key: key32(77)}
					return append(m.header(), m.key...), nil
				}
			},
			wantError: failed,
		},
		"unwraps to another sequence number": {
			unwrap: func(v *vault) func([]byte) ([]byte, error) {
				wrapped := v.secret("encryption-key-v1").Data["wrapped"]
				return func([]byte) ([]byte, error) {
					plaintext, err := former.Unwrap(context.Background(), wrapped)
					return bytes.Replace(plaintext, []byte("v1\x00\x00\x00\x00\x00\x00\x00\x01"), []byte("v1\x00\x00\x00\x00\x00\x00\x00\x02"), 1), err
				}
			},
			wantError: failed,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v := makeVault(t)
			v.startedKeyring(former)
			before := v.secrets()
			root := forgetful{LocalRoot: makeRoot(t, 33), unwrap: tt.unwrap(v)}
			written, err := v.startedKeyring(root, former).Rewrap(context.Background())
			if !errors.Is(err, errRewrap) || written != 0 {
				t.Fatalf("wrote %d Secrets, error %v", written, err)
			}
			// The first line is of v1, the second of the identity key.
			if got, _, _ := bytes.Cut([]byte(err.Error()), []byte("\n")); string(got) != tt.wantError {
				t.Errorf("error %s,\nwant %s", got, tt.wantError)
			}
			if diff := cmp.Diff(before, v.secrets()); diff != "" {
				t.Errorf("Secrets (-before +after):\n%s", diff)
			}
		})
	}
}

func TestRewrapFailures(t *testing.T) {
	down := errors.New("the API server is down")
	tests := map[string]struct {
		funcs     interceptor.Funcs
		wantError string
	}{
		"list": {
			funcs: interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
				return down
			}},
			wantError: `listing key material in namespace "usersecrets-system": the API server is down`,
		},
		"update": {
			funcs: interceptor.Funcs{Update: func(context.Context, client.WithWatch, client.Object, ...client.UpdateOption) error {
				return down
			}},
			wantError: "writing Secret \"encryption-key-v1\": the API server is down\nwriting Secret \"value-identity-key\": the API server is down",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v := makeVault(t)
			v.startedKeyring(makeRoot(t, 32))
			k := v.startedKeyring(makeRoot(t, 33), makeRoot(t, 32))
			k.store.client = v.intercept(tt.funcs)
			written, err := k.Rewrap(context.Background())
			if checkError(t, err, down, tt.wantError); written != 0 {
				t.Errorf("wrote %d Secrets", written)
			}
		})
	}
	t.Run("wrap", func(t *testing.T) {
		v := makeVault(t)
		v.startedKeyring(makeRoot(t, 32))
		_, err := v.startedKeyring(failingRoot{err: down}, makeRoot(t, 32)).Rewrap(context.Background())
		checkError(t, err, down, "wrapping encryption-key \"v1\": the API server is down\nwrapping value-identity-key \"value-identity-key\": the API server is down")
	})
}

// conflict is the API server's answer to a write of what changed since it was read.
func conflict(name string) error {
	return apierrors.NewConflict(schema.GroupResource{Resource: "secrets"}, name, errors.New("it was changed"))
}
