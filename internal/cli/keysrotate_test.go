package cli

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"usersecrets.dev/operator/api/v1alpha1"
)

func TestKeysRotateMakesTheNextKey(t *testing.T) {
	tests := map[string]struct {
		before []string
		args   []string
		want   outcome
	}{
		"the first":     {nil, nil, outcome{Out: "encryptionkey.usersecrets.dev/v1 created\n"}},
		"the next":      {[]string{"v1", "v9", "v10"}, nil, outcome{Out: "encryptionkey.usersecrets.dev/v11 created\n"}},
		"named so far":  {[]string{"spring"}, nil, outcome{Out: "encryptionkey.usersecrets.dev/v2 created\n"}},
		"a given name":  {[]string{"v1"}, []string{"autumn-2026"}, outcome{Out: "encryptionkey.usersecrets.dev/autumn-2026 created\n"}},
		"one there is":  {[]string{"v1"}, []string{"v1"}, outcome{Code: 1, ErrOut: "error: EncryptionKey \"v1\" exists already, and a key is made only once: leave NAME out for the next one\n"}},
		"without watch": {nil, []string{"--timeout=0s"}, outcome{Out: "encryptionkey.usersecrets.dev/v1 created\n"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var objects []client.Object
			for _, name := range tt.before {
				objects = append(objects, encryptionKey(name, v1alpha1.EncryptionKeyStatus{}))
			}
			f := newFixture(t, objects...)
			if diff := cmp.Diff(tt.want, f.run(append([]string{"keys", "rotate"}, tt.args...)...)); diff != "" {
				t.Errorf("rotating (-want +got):\n%s", diff)
			}
		})
	}
}

// operator writes the status of the key, at each look that is taken at it.
type operator func(look int, key *v1alpha1.EncryptionKey)

// newRotation is a fixture with an operator and these UserSecrets.
func newRotation(t *testing.T, o operator, objects ...client.Object) *fixture {
	look := 0
	return newFixtureWith(t, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, name client.ObjectKey, object client.Object, opts ...client.GetOption) error {
		if err := errors.Join(ctx.Err(), c.Get(ctx, name, object, opts...)); err != nil {
			return err
		}
		if key, ok := object.(*v1alpha1.EncryptionKey); ok {
			look++
			o(look, key)
		}
		return nil
	}}, objects...)
}

// seals counts up by 25 of 100 with each look, from nothing in the third on.
func seals(look int, key *v1alpha1.EncryptionKey) {
	if look == 1 {
		return
	}
	done := min(25*(look-3), 100)
	key.Status = v1alpha1.EncryptionKeyStatus{KeyID: "v1-00000001", Phase: v1alpha1.KeyActive}
	if look > 2 {
		key.Status.Progress = fmt.Sprintf("%d/100", done)
	}
}

// stops has sealed two of three, and goes on with none.
func stops(_ int, key *v1alpha1.EncryptionKey) {
	key.Status = v1alpha1.EncryptionKeyStatus{KeyID: "v2-00000002", Phase: v1alpha1.KeyActive, Progress: "1/3"}
}

func sealedWith(name, keyID string, status v1alpha1.UserSecretStatus) *v1alpha1.UserSecret {
	us := &v1alpha1.UserSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "alice", Name: name, Generation: 1}, Status: status}
	us.Spec.EncryptedValue = "us1." + keyID + ".sealed"
	return us
}

func sealedCondition(status metav1.ConditionStatus, reason, message string) []metav1.Condition {
	return []metav1.Condition{{Type: v1alpha1.ConditionSealed, Status: status, Reason: reason, Message: message}}
}

func TestKeysRotateWatch(t *testing.T) {
	const created = "encryptionkey.usersecrets.dev/v2 created\n"
	args := []string{"keys", "rotate", "v2", "--watch"}
	offered := v1alpha1.UserSecretStatus{
		ObservedGeneration: 1, ResealedValue: "us1.v2-00000002.offered",
		Conditions: sealedCondition("True", v1alpha1.ReasonStaleKey, "It belongs to\na manifest"),
	}
	broken := v1alpha1.UserSecretStatus{ObservedGeneration: 1, Conditions: sealedCondition("False", v1alpha1.ReasonDoesNotOpen, "It does not open")}
	tests := map[string]struct {
		operator operator
		objects  []client.Object
		args     []string
		want     outcome
	}{
		"until all is done": {
			operator: seals,
			want: outcome{
				Out:    created + "100 of 100 UserSecrets are sealed with v1-00000001\n",
				ErrOut: "sealing again: 0 of 100\nsealing again: 25 of 100\nsealing again: 50 of 100\nsealing again: 75 of 100\nsealing again: 100 of 100\n",
			},
		},
		"of an empty vault": {
			operator: func(_ int, key *v1alpha1.EncryptionKey) {
				key.Status = v1alpha1.EncryptionKeyStatus{KeyID: "v2-00000002", Phase: v1alpha1.KeyActive, Progress: "0/0"}
			},
			want: outcome{Out: created + "no UserSecret is stored; new ones are sealed with v2-00000002\n"},
		},
		"where some are left": {
			operator: stops,
			objects:  []client.Object{sealedWith("a", "v2-00000002", v1alpha1.UserSecretStatus{}), sealedWith("b", "v1-00000001", offered), sealedWith("c", "v1-00000001", broken)},
			want: outcome{
				Out:    created + "1 of 3 UserSecrets are sealed with v2-00000002\nleft: alice/b: It belongs to a manifest\nleft: alice/c: It does not open\n",
				ErrOut: "sealing again: 1 of 3\n",
			},
		},
		"past those that are still to be done": {
			operator: stops, args: []string{"--timeout=10s"},
			objects: []client.Object{sealedWith("a", "v2-00000002", v1alpha1.UserSecretStatus{}), sealedWith("b", "v1-00000001", offered), sealedWith("c", "v1-00000001", v1alpha1.UserSecretStatus{})},
			want:    outcome{Code: 1, Out: created, ErrOut: "sealing again: 1 of 3\nerror: " + errNotDone.Error() + "\n"},
		},
		// The offer of an earlier rotation says nothing about this one.
		"past an older offer": {
			operator: stops, args: []string{"--timeout=10s"},
			objects: []client.Object{sealedWith("a", "v2-00000002", v1alpha1.UserSecretStatus{}), sealedWith("b", "v0-00000000", v1alpha1.UserSecretStatus{
				ObservedGeneration: 1, ResealedValue: "us1.v1-00000001.offered", Conditions: offered.Conditions,
			})},
			want: outcome{Code: 1, Out: created, ErrOut: "sealing again: 1 of 3\nerror: " + errNotDone.Error() + "\n"},
		},
		"until a newer key takes over": {
			operator: func(look int, key *v1alpha1.EncryptionKey) {
				if key.Status.Phase = v1alpha1.KeyActive; look > 1 {
					key.Status.Phase = v1alpha1.KeyRetiring
				}
			},
			want: outcome{Out: created + "a newer key took over meanwhile: see 'kubectl usersecret keys list'\n"},
		},
		"while the KMS is away": {
			operator: func(_ int, key *v1alpha1.EncryptionKey) {
				key.Status.Conditions = readyKey("False", v1alpha1.ReasonRootKeyUnavailable, "away")
			},
			want: outcome{Code: 1, Out: created, ErrOut: "error: " + errNotDone.Error() + "\n"},
		},
		"of a key that gets no material": {
			operator: func(_ int, key *v1alpha1.EncryptionKey) {
				key.Status.Conditions = readyKey("False", v1alpha1.ReasonMaterialAltered, "key material was altered: restore it from a backup")
			},
			want: outcome{Code: 1, Out: created, ErrOut: "error: EncryptionKey \"v2\" is not used: key material was altered: restore it from a backup\n"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newRotation(t, tt.operator, tt.objects...)
			if diff := cmp.Diff(tt.want, f.runQuickly(append(args, tt.args...)...)); diff != "" {
				t.Errorf("watching (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKeysRotateInterrupted(t *testing.T) {
	f := newRotation(t, stops)
	synctest.Test(t, func(*testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(3*poll, cancel)
		want := outcome{Code: 130, Out: "encryptionkey.usersecrets.dev/v2 created\n", ErrOut: "sealing again: 1 of 3\nerror: interrupted\n"}
		if diff := cmp.Diff(want, f.runIn(ctx, "keys", "rotate", "v2", "-w")); diff != "" {
			t.Errorf("Ctrl-C (-want +got):\n%s", diff)
		}
	})
	if err := f.api.Get(context.Background(), types.NamespacedName{Name: "v2"}, &v1alpha1.EncryptionKey{}); err != nil {
		t.Errorf("the key is not there, and so the rotation does not go on: %v", err)
	}
}

// Every page is looked at.
func TestKeysRotateLooksAtAll(t *testing.T) {
	pages := 0
	f := newFixtureWith(t, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, name client.ObjectKey, object client.Object, opts ...client.GetOption) error {
			err := c.Get(ctx, name, object, opts...)
			if key, ok := object.(*v1alpha1.EncryptionKey); ok {
				stops(0, key)
			}
			return err
		},
		List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			var options client.ListOptions
			options.ApplyOptions(opts)
			items, _ := list.(*v1alpha1.UserSecretList)
			items.Items = []v1alpha1.UserSecret{*sealedWith("a", "v2-00000002", v1alpha1.UserSecretStatus{})}
			if pages++; pages < 3 {
				list.SetContinue(fmt.Sprint("page ", pages+1))
			}
			if want := map[int]string{1: "", 2: "page 2", 3: "page 3"}[pages]; options.Continue != want || options.Limit != chunk {
				t.Errorf("page %d: asked for %d from %q, want %d from %q", pages, options.Limit, options.Continue, chunk, want)
			}
			return nil
		},
	})
	if got := f.runQuickly("keys", "rotate", "v2", "-w"); got.Out != "encryptionkey.usersecrets.dev/v2 created\n3 of 3 UserSecrets are sealed with v2-00000002\n" {
		t.Errorf("watching: got %+v", got)
	}
}
