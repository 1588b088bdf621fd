package cli

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"usersecrets.dev/operator/api/v1alpha1"
)

// newStore is a cluster with alice's key, trusted, and a catalogue of two.
func newStore(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) *fixture {
	t.Helper()
	key := sealingKeyOf(t, "v1", nil)
	objects = append(objects, key,
		provider("slack", v1alpha1.TypeOAuthToken, v1alpha1.TypeWebhookSecret), provider("openai", v1alpha1.TypeAPIKey))
	f := newFixtureWith(t, funcs, objects...)
	f.trust(clusterURL, key)
	f.stdin.WriteString(canary + "\n")
	return f
}

// stored is the UserSecret in the cluster, or nil.
func (f *fixture) stored(name string) *v1alpha1.UserSecret {
	f.t.Helper()
	us := &v1alpha1.UserSecret{}
	err := f.api.Get(context.Background(), types.NamespacedName{Namespace: "alice", Name: name}, us)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return us
}

func TestCreate(t *testing.T) {
	f := newStore(t, interceptor.Funcs{})
	got := f.run("create", "team-slack", "--provider=slack", "--from-file=-", "--tag=team", "--expires-at=24h")
	if diff := cmp.Diff(outcome{Out: "usersecret.usersecrets.dev/team-slack created\n"}, got); diff != "" {
		t.Fatalf("creating (-want +got):\n%s", diff)
	}
	us := f.stored("team-slack")
	wantOpens(t, us.Spec.EncryptedValue, "team-slack", canary)
	want := v1alpha1.UserSecretSpec{
		Provider: "slack", Type: v1alpha1.TypeOAuthToken, Tags: []string{"team"},
		ExpiresAt: &metav1.Time{Time: now.AddDate(0, 0, 1)}, EncryptedValue: us.Spec.EncryptedValue,
	}
	if diff := cmp.Diff(want, us.Spec); diff != "" {
		t.Errorf("what is stored (-want +got):\n%s", diff)
	}
	if len(us.ManagedFields) != 1 || us.ManagedFields[0].Manager != "kubectl-usersecret" || us.ManagedFields[0].Operation != metav1.ManagedFieldsOperationUpdate {
		t.Errorf("managed fields: got %+v, want those of one update by kubectl-usersecret", us.ManagedFields)
	}
}

func TestCreateOutput(t *testing.T) {
	tests := map[string]struct {
		args       []string
		wantOut    string // how it starts
		wantStored bool
	}{
		"name":            {[]string{"-o=name"}, "usersecret.usersecrets.dev/openai\n", true},
		"yaml":            {[]string{"-o=yaml"}, "apiVersion: usersecrets.dev/v1alpha1\nkind: UserSecret\nmetadata:\n  name: openai\n", true},
		"json":            {[]string{"-o=json"}, "{\n    \"apiVersion\": \"usersecrets.dev/v1alpha1\",\n", true},
		"client dry run":  {[]string{"--dry-run=client"}, "usersecret.usersecrets.dev/openai created (dry run)\n", false},
		"client manifest": {[]string{"--dry-run=client", "-o=yaml"}, "apiVersion: usersecrets.dev/v1alpha1\nkind: UserSecret\n", false},
		"server dry run":  {[]string{"--dry-run=server"}, "usersecret.usersecrets.dev/openai created (server dry run)\n", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newStore(t, interceptor.Funcs{})
			got := f.run(append([]string{"create", "openai", "--provider=openai", "--from-file=-"}, tt.args...)...)
			if got.Code != 0 || got.ErrOut != "" || !strings.HasPrefix(got.Out, tt.wantOut) {
				t.Errorf("got code %d, %s%s; want it to start with %s", got.Code, got.Out, got.ErrOut, tt.wantOut)
			}
			if strings.Contains(got.Out, "managedFields") {
				t.Error("managed fields were printed")
			}
			if stored := f.stored("openai") != nil; stored != tt.wantStored {
				t.Errorf("stored: got %t, want %t", stored, tt.wantStored)
			}
		})
	}
}

// A client dry run sends nothing, not even to be thrown away.
func TestCreateDryRunSendsNothing(t *testing.T) {
	var sent []client.CreateOptions
	f := newStore(t, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
		options := client.CreateOptions{}
		options.ApplyOptions(opts)
		sent = append(sent, options)
		return c.Create(ctx, obj, opts...)
	}})
	f.run("create", "openai", "--provider=openai", "--from-file=-", "--dry-run=client")
	if len(sent) > 0 {
		t.Errorf("with --dry-run=client: sent %+v, want nothing", sent)
	}
	f.stdin.WriteString(canary)
	f.run("create", "openai", "--provider=openai", "--from-file=-", "--dry-run=server")
	want := []client.CreateOptions{{DryRun: []string{metav1.DryRunAll}, FieldManager: "kubectl-usersecret"}}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("with --dry-run=server (-want +got):\n%s", diff)
	}
}

func TestCreateWithAChosenProvider(t *testing.T) {
	menu := "Whose value is it?\n" +
		"   1) openai           OPENAI (api_key)\n" +
		"   2) slack            SLACK (oauth_token, webhook_secret)\n" +
		"Number or name: "
	for name, answer := range map[string]string{"by number": "2", "by name": " slack "} {
		t.Run(name, func(t *testing.T) {
			f := newStore(t, interceptor.Funcs{})
			f.user.present, f.user.answer, f.user.secret = true, answer, canary
			if got := f.run("create", "x"); got.Code != 0 {
				t.Fatalf("creating: %s", got.ErrOut)
			}
			if diff := cmp.Diff([]string{menu, "Value of UserSecret alice/x (not shown): "}, f.user.questions); diff != "" {
				t.Errorf("the questions (-want +got):\n%s", diff)
			}
			if us := f.stored("x"); us.Spec.Provider != "slack" || us.Spec.Type != v1alpha1.TypeOAuthToken {
				t.Errorf("stored: got provider %q and type %q, want slack and oauth_token", us.Spec.Provider, us.Spec.Type)
			}
		})
	}
	for _, answer := range []string{"", "0", "3", "-1", "stripe"} {
		t.Run("refused "+answer, func(t *testing.T) {
			f := newStore(t, interceptor.Funcs{})
			f.user.present, f.user.answer = true, answer
			wantRefusal(t, f.run("create", "x"), "that is none of the providers: answer with a number or name from the list, or give --provider")
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		f := newStore(t, interceptor.Funcs{})
		f.user.present, f.user.err = true, errInterrupted
		if diff := cmp.Diff(outcome{Code: 130, ErrOut: "error: interrupted\n"}, f.run("create", "x")); diff != "" {
			t.Errorf("Ctrl-C (-want +got):\n%s", diff)
		}
	})
}

func TestCreateRefusals(t *testing.T) {
	existing := &v1alpha1.UserSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "alice", Name: "openai"}}
	tests := map[string]struct {
		args []string
		want string
	}{
		"one that exists":     {nil, `creating UserSecret "openai" in namespace "alice": it exists already; choose another name, or seal the new value with 'kubectl usersecret seal openai' and set it as spec.encryptedValue`},
		"unknown provider":    {[]string{"--provider=stripe"}, `unknown provider: 'kubectl get secretproviders' lists the catalogue, and 'custom' takes anything`},
		"unknown type":        {[]string{"--type=custom"}, `unknown type "custom" for provider "openai": it has api_key`},
		"no provider":         {[]string{"--provider="}, "--provider is missing: give one of openai, slack"},
		"unknown dry run":     {[]string{"--dry-run=yes"}, "--dry-run is one of none, client, server"},
		"unknown format":      {[]string{"-o=wide"}, "unknown output format: --output is one of json, yaml, kyaml, name"},
		"no known context":    {[]string{"--context=other"}, `reading the kubeconfig: invalid configuration: context was not found for specified context: other; check --context and --kubeconfig`},
		"no such kubeconfig":  {[]string{"--kubeconfig=/absent"}, "reading the kubeconfig: stat /absent: no such file or directory; check --context and --kubeconfig"},
		"key of another file": {[]string{"-n=bob", "--sealing-key=KEY"}, `the sealing key is another namespace's: it is for "alice", and the value for "bob"; what is sealed with it would not open: give the key of that namespace, or --namespace alice`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newStore(t, interceptor.Funcs{}, existing.DeepCopy())
			path := f.file("key.yaml", asYAML(t, sealingKeyOf(t, "v1", nil)))
			args := []string{"create", "openai", "--provider=openai", "--from-file=-"}
			for _, arg := range tt.args {
				args = append(args, strings.Replace(arg, "KEY", path, 1))
			}
			wantRefusal(t, f.run(args...), tt.want)
			if f.stored("openai").Spec.EncryptedValue != "" {
				t.Error("what was there was written over")
			}
		})
	}
	t.Run("empty catalogue", func(t *testing.T) {
		key := sealingKeyOf(t, "v1", nil)
		f := newFixture(t, key)
		f.trust(clusterURL, key)
		f.stdin.WriteString(canary)
		wantRefusal(t, f.run("create", "x", "--from-file=-"), "no SecretProvider exists in this cluster: ask an administrator to install the catalogue")
	})
}

// What was given as the provider may be a value, and so is in no request.
func TestProviderIsNotAskedForByName(t *testing.T) {
	f := newStore(t, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
		if _, ok := obj.(*v1alpha1.SecretProvider); ok {
			t.Error("the API server was asked for a provider by name")
		}
		return c.Get(ctx, key, obj, opts...)
	}})
	if got := f.run("create", "slack", "--provider=slack", "--from-file=-"); got.Code != 0 {
		t.Errorf("creating: %s", got.ErrOut)
	}
}

// A user who may not read the catalogue can still name provider and type.
func TestCreateWithoutSightOfTheCatalogue(t *testing.T) {
	forbidden := interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
		return apierrors.NewForbidden(schema.GroupResource{Group: "usersecrets.dev", Resource: "secretproviders"}, "", errors.New("no right"))
	}}
	f := newStore(t, forbidden)
	if got := f.run("create", "openai", "--provider=openai", "--type=api_key", "--from-file=-"); got.Code != 0 {
		t.Errorf("with a type: %s", got.ErrOut)
	}
	f.stdin.WriteString(canary)
	got := f.run("create", "other", "--provider=openai", "--from-file=-")
	wantRefusal(t, got, `listing the SecretProviders: secretproviders.usersecrets.dev is forbidden: no right`)
}
