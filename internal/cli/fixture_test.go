package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
)

// canary is the value of most tests. It must be in nothing that is printed.
const canary = "sk-canary-0123456789"

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

const kubeconfig = `apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "https://cluster.example:6443"}}]
users: [{name: test, user: {token: none}}]
contexts: [{name: test, context: {cluster: test, user: test, namespace: alice}}]
`

// fixture is a machine with a home, a kubeconfig, a user and a cluster.
type fixture struct {
	t           *testing.T
	env         *Environment
	stdin       *bytes.Buffer
	out, errOut *bytes.Buffer
	variables   map[string]string
	user        *scriptedUser
	api         client.Client
	connections int
	home        string
	// hidden are secrets besides canary that must be in nothing that is printed.
	hidden []string
}

// newFixture has the kubeconfig of a cluster with these objects.
func newFixture(t *testing.T, objects ...client.Object) *fixture {
	return newFixtureWith(t, interceptor.Funcs{}, objects...)
}

func newFixtureWith(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) *fixture {
	t.Helper()
	s, err := scheme()
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{
		t: t, home: t.TempDir(), stdin: &bytes.Buffer{}, out: &bytes.Buffer{}, errOut: &bytes.Buffer{}, user: &scriptedUser{},
		api: fake.NewClientBuilder().WithScheme(s).WithRESTMapper(mapper()).WithObjects(objects...).WithInterceptorFuncs(funcs).WithReturnManagedFields().Build(),
	}
	f.variables = map[string]string{"HOME": f.home}
	t.Setenv("HOME", f.home)
	t.Setenv("KUBECONFIG", f.file("kubeconfig", kubeconfig))
	f.env = &Environment{
		IOStreams: genericiooptions.IOStreams{In: f.stdin, Out: f.out, ErrOut: f.errOut},
		Prompter:  f.user,
		LookupEnv: func(name string) (string, bool) { value, set := f.variables[name]; return value, set },
		Now:       func() time.Time { return now },
		NewClient: func(*rest.Config) (client.Client, error) { f.connections++; return f.api, nil },
		Version:   "v0.1.0",
	}
	return f
}

// newOfflineFixture has no kubeconfig, and fails the test for any connection.
func newOfflineFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	t.Setenv("KUBECONFIG", filepath.Join(f.home, "absent"))
	f.env.NewClient = func(*rest.Config) (client.Client, error) {
		t.Error("a cluster was called")
		return nil, fmt.Errorf("no cluster")
	}
	return f
}

// file writes a file into the home, and returns its path.
func (f *fixture) file(name, content string) string {
	f.t.Helper()
	path := filepath.Join(f.home, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

// outcome is what a command left behind.
type outcome struct {
	Code        int
	Out, ErrOut string
}

// run runs the plugin. The home's path reads "~" in what it printed.
func (f *fixture) run(args ...string) outcome {
	f.t.Helper()
	return f.runIn(context.Background(), args...)
}

func (f *fixture) runIn(ctx context.Context, args ...string) outcome {
	f.t.Helper()
	f.out.Reset()
	f.errOut.Reset()
	code := Main(ctx, f.env, args)
	for _, secret := range append(f.hidden, canary) {
		if strings.Contains(f.out.String()+f.errOut.String(), secret) {
			f.t.Errorf("a secret was printed:\n%s%s", f.out, f.errOut)
		}
	}
	return outcome{code, f.withoutHome(f.out), f.withoutHome(f.errOut)}
}

// runQuickly is run on a clock that waits for nothing.
func (f *fixture) runQuickly(args ...string) (got outcome) {
	f.t.Helper()
	synctest.Test(f.t, func(*testing.T) { got = f.run(args...) })
	return got
}

func (f *fixture) withoutHome(printed fmt.Stringer) string {
	return strings.ReplaceAll(printed.String(), f.home, "~")
}

// trust has the key remembered already.
func (f *fixture) trust(source string, key *v1alpha1.SealingKey) {
	f.t.Helper()
	folder := filepath.Join(f.home, ".config", "usersecrets")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		f.t.Fatal(err)
	}
	f.file(".config/usersecrets/known_keys", fmt.Sprintf("%s %s %s %s %s\n", source, key.Namespace, key.Spec.KeyID, key.Spec.Fingerprint, key.Spec.Owner))
}

func (f *fixture) knownKeys() string {
	f.t.Helper()
	content, err := os.ReadFile(filepath.Join(f.home, ".config", "usersecrets", "known_keys"))
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.ReplaceAll(string(content), f.home, "~")
}

func wantRefusal(t *testing.T, got outcome, message string) {
	t.Helper()
	if diff := cmp.Diff(outcome{Code: 1, ErrOut: "error: " + message + "\n"}, got); diff != "" {
		t.Errorf("the refusal (-want +got):\n%s", diff)
	}
}

// scriptedUser is a Prompter with its answers ready.
type scriptedUser struct {
	present   bool
	answer    string
	secret    string
	secrets   []string // of one question after the other, before secret
	err       error
	questions []string
}

func (u *scriptedUser) Interactive() bool { return u.present }

func (u *scriptedUser) Ask(_ context.Context, question string) (string, error) {
	u.questions = append(u.questions, question)
	return u.answer, u.err
}

func (u *scriptedUser) AskSecret(_ context.Context, question string) (secretvalue.Value, error) {
	u.questions = append(u.questions, question)
	secret := u.secret
	if len(u.secrets) > 0 {
		secret, u.secrets = u.secrets[0], u.secrets[1:]
	}
	return secretvalue.FromString(secret), u.err
}

const clusterURL = "https://cluster.example:6443"

// userKey opens what was sealed for alice under the key v1, or another.
func userKey(t *testing.T, name, owner string) *envelope.UserKey {
	t.Helper()
	material := bytes.Repeat([]byte(name[:1]), envelope.EncryptionKeySize)
	id, err := envelope.NewKeyID(name, material)
	if err != nil {
		t.Fatal(err)
	}
	key, err := envelope.DeriveUserKey(id, material, owner)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sealingKeyOf is the SealingKey that the operator publishes for alice, with
// some change to it.
func sealingKeyOf(t *testing.T, name string, change func(*v1alpha1.SealingKey)) *v1alpha1.SealingKey {
	t.Helper()
	public := userKey(t, name, "alice").PublicKey()
	key := &v1alpha1.SealingKey{
		TypeMeta:   metav1.TypeMeta{APIVersion: "usersecrets.dev/v1alpha1", Kind: "SealingKey"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "alice", Name: "sealing-key"},
		Spec:       v1alpha1.SealingKeySpec{Owner: "alice", KeyID: string(public.KeyID()), PublicKey: public.Bytes(), Fingerprint: public.Fingerprint()},
	}
	if change != nil {
		change(key)
	}
	return key
}

func asYAML(t *testing.T, object any) string {
	t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wantOpens opens a sealed value as the operator would.
func wantOpens(t *testing.T, text, name, want string) {
	t.Helper()
	sealed, err := envelope.Parse(text)
	if err != nil {
		t.Fatalf("parsing what was sealed: %v", err)
	}
	value, err := userKey(t, "v1", "alice").Open(sealed, envelope.Binding{Owner: "alice", Namespace: "alice", Name: name})
	if err != nil {
		t.Fatalf("opening what was sealed: %v", err)
	}
	if !value.Equal(secretvalue.FromString(want)) {
		t.Errorf("what was sealed opens to another value, of %d bytes instead of %d", value.Len(), len(want))
	}
}

func provider(name string, types ...v1alpha1.SecretType) *v1alpha1.SecretProvider {
	p := &v1alpha1.SecretProvider{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.SecretProviderSpec{DisplayName: strings.ToUpper(name)}}
	for _, t := range types {
		p.Spec.Types = append(p.Spec.Types, v1alpha1.ProviderType{Type: t, Key: "KEY"})
	}
	return p
}
