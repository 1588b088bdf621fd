package cli

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/secretvalue"
	"usersecrets.dev/operator/internal/verify"
)

// testerFunc is a Tester.
type testerFunc func(entry *v1alpha1.ProviderType, value secretvalue.Value) verify.Result

func (f testerFunc) Test(_ context.Context, entry *v1alpha1.ProviderType, value secretvalue.Value) verify.Result {
	return f(entry, value)
}

func TestCreateTestsBeforeItStores(t *testing.T) {
	tests := map[string]struct {
		reason string
		want   string // the refusal; empty where the value is stored
	}{
		"accepted":     {v1alpha1.ReasonAccepted, ""},
		"rejected":     {v1alpha1.ReasonRejected, "the value was not stored: says the provider; check that the whole value was given, and that it is still good"},
		"unreachable":  {v1alpha1.ReasonUnreachable, "the value was not stored: says the provider; leave out --test to store it untested"},
		"not testable": {v1alpha1.ReasonNotTestable, "the value was not stored: says the provider; leave out --test to store it untested"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newStore(t, interceptor.Funcs{})
			tested := 0
			f.env.Tester = testerFunc(func(entry *v1alpha1.ProviderType, value secretvalue.Value) verify.Result {
				tested++
				if entry.Type != v1alpha1.TypeWebhookSecret || !value.Equal(secretvalue.FromString(canary)) {
					t.Errorf("tested a value of %d bytes as %s", value.Len(), entry.Type)
				}
				if f.stored("hook") != nil {
					t.Error("it was stored before it was tested")
				}
				return verify.Result{Reason: tt.reason, Message: "says the provider"}
			})
			got := f.run("create", "hook", "--provider=slack", "--type=webhook_secret", "--from-file=-", "--test")
			if tt.want != "" {
				wantRefusal(t, got, tt.want)
			} else if diff := cmp.Diff(outcome{Out: "usersecret.usersecrets.dev/hook created\n"}, got); diff != "" {
				t.Errorf("creating (-want +got):\n%s", diff)
			}
			if stored := f.stored("hook") != nil; stored != (tt.want == "") || tested != 1 {
				t.Errorf("stored: %t, tested %d times", stored, tested)
			}
		})
	}
}

func TestCreateTestRefusals(t *testing.T) {
	never := testerFunc(func(*v1alpha1.ProviderType, secretvalue.Value) verify.Result {
		t.Error("a value was tested")
		return verify.Result{}
	})
	t.Run("client dry run", func(t *testing.T) {
		f := newStore(t, interceptor.Funcs{})
		f.env.Tester = never
		wantRefusal(t, f.run("create", "openai", "--provider=openai", "--from-file=-", "--test", "--dry-run=client"),
			"--test sends the value to its provider, and --dry-run=client sends nothing: give one of them")
	})
	t.Run("without sight of the catalogue", func(t *testing.T) {
		f := newStore(t, interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			return apierrors.NewForbidden(schema.GroupResource{Group: "usersecrets.dev", Resource: "secretproviders"}, "", errors.New("no right"))
		}})
		f.env.Tester = never
		wantRefusal(t, f.run("create", "openai", "--provider=openai", "--type=api_key", "--from-file=-", "--test"),
			"--test needs the catalogue, which you may not read: leave out --test, or ask an administrator for the ClusterRole usersecret-catalogue-reader")
	})
	t.Run("without --test", func(t *testing.T) {
		f := newStore(t, interceptor.Funcs{})
		f.env.Tester = never
		if got := f.run("create", "openai", "--provider=openai", "--from-file=-"); got.Code != 0 {
			t.Errorf("creating: %s", got.ErrOut)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		f := newStore(t, interceptor.Funcs{})
		ctx, stop := context.WithCancel(t.Context())
		f.env.Tester = testerFunc(func(*v1alpha1.ProviderType, secretvalue.Value) verify.Result {
			stop()
			return verify.Result{Reason: v1alpha1.ReasonUnreachable}
		})
		if got := f.runIn(ctx, "create", "openai", "--provider=openai", "--from-file=-", "--test"); got.Code != exitInterrupted {
			t.Errorf("Ctrl-C: code %d, %s", got.Code, got.ErrOut)
		}
		if f.stored("openai") != nil {
			t.Error("it was stored")
		}
	})
}
