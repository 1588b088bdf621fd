package cli

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/keybackup"
	"usersecrets.dev/operator/internal/keyring"
)

// saved is a backup of a vault with the keys v1 and v2.
type saved struct {
	text     []byte
	identity *age.X25519Identity
	keys     []keyring.Key
}

func newSaved(t *testing.T, root string) *saved {
	t.Helper()
	f, s := newVault(t, rootKey, "v2"), &saved{identity: keyPair(t)}
	ring := f.keyring(rootKey)
	if err := ring.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.keys = ring.Keys()
	backup := keybackup.Backup{RootKey: root}
	for _, name := range []string{"encryption-key-v1", "encryption-key-v2", "value-identity-key"} {
		secret := f.material()[name]
		backup.Secrets = append(backup.Secrets, keybackup.FromSecret(&secret))
	}
	var text bytes.Buffer
	if err := keybackup.Write(&text, backup, s.identity.Recipient()); err != nil {
		t.Fatal(err)
	}
	s.text = text.Bytes()
	return s
}

// into runs keys restore on a machine that has the backup and the identity.
func (s *saved) into(f *fixture, args ...string) outcome {
	f.t.Helper()
	f.hidden = []string{rootKey, otherRoot, "AGE-SECRET-KEY-1"}
	identity := f.file("identity", s.identity.String()+"\n")
	return f.run(append([]string{"keys", "restore", f.file("keys.age", string(s.text)), "--identity", identity}, args...)...)
}

// v1ID is the key id of the v1 in the backup.
func (s *saved) v1ID() string { return string(s.keys[0].ID) }

// wantOpened has an operator with these root keys find keys with these names.
func (s *saved) wantOpened(f *fixture, roots string, names ...string) {
	f.t.Helper()
	ring := f.keyring(roots)
	if err := ring.Bootstrap(context.Background()); err != nil {
		f.t.Fatal(err)
	}
	var got []string
	for _, key := range ring.Keys() {
		got = append(got, key.Name)
	}
	if diff := cmp.Diff(names, got); diff != "" {
		f.t.Errorf("the keys of the vault (-want +got):\n%s", diff)
	}
	for _, key := range s.keys {
		if !ring.Has(key.ID) {
			f.t.Errorf("key %s is not in the vault", key.ID)
		}
	}
}

func (f *fixture) encryptionKeys() []string {
	f.t.Helper()
	list := &v1alpha1.EncryptionKeyList{}
	if err := f.api.List(context.Background(), list); err != nil {
		f.t.Fatal(err)
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names
}

func TestKeysRestoreIntoAnEmptyCluster(t *testing.T) {
	s := newSaved(t, rootKey)
	f := newFixture(t)
	out := filepath.Join(f.home, "root.key")
	want := outcome{Out: `secret/encryption-key-v1 restored
encryptionkey.usersecrets.dev/v1 created
secret/encryption-key-v2 restored
encryptionkey.usersecrets.dev/v2 created
secret/value-identity-key restored
the root key was written to ~/root.key
the operator must be given root key ` + rootKeyID + `, which wraps this material
`}
	if diff := cmp.Diff(want, s.into(f, "--root-key-out", out)); diff != "" {
		t.Errorf("restoring (-want +got):\n%s", diff)
	}
	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(out); err != nil || info.Mode() != 0o600 || string(content) != rootKey+"\n" {
		t.Errorf("the root key: %d bytes, mode %v, error %v", len(content), info.Mode(), err)
	}
	s.wantOpened(f, string(content), "v1", "v2")

	// Repeated, it finds all of it there.
	want = outcome{Out: `secret/encryption-key-v1 unchanged: the key is there
secret/encryption-key-v2 unchanged: the key is there
secret/value-identity-key unchanged: the key is there
`}
	if diff := cmp.Diff(want, s.into(f)); diff != "" {
		t.Errorf("restoring again (-want +got):\n%s", diff)
	}
}

// Where the operator was first, and made keys of its own, both stay.
func TestKeysRestoreBesideOtherKeys(t *testing.T) {
	s := newSaved(t, "")
	f := newVault(t, otherRoot)
	own := f.material()["encryption-key-v1"]
	want := outcome{Out: strings.ReplaceAll(`secret/encryption-key-ID restored
encryptionkey.usersecrets.dev/ID created
secret/encryption-key-v2 restored
encryptionkey.usersecrets.dev/v2 created
secret/value-identity-key left as it is: the operator has made one of its own
`, "ID", s.v1ID()) + "the operator must be given root key " + rootKeyID + " after its own: on a further line of its root key, or as a further --root-key; then restart it\n"}
	if diff := cmp.Diff(want, s.into(f)); diff != "" {
		t.Errorf("restoring (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(own, f.material()["encryption-key-v1"]); diff != "" {
		t.Errorf("the operator's own key (-before +after):\n%s", diff)
	}
	beside := f.material()["encryption-key-"+s.v1ID()]
	if got := beside.Annotations[keyring.NameAnnotation]; got != "v1" {
		t.Errorf("annotation %s: got %q, want v1", keyring.NameAnnotation, got)
	}
	s.wantOpened(f, otherRoot+"\n"+rootKey, "v1", s.v1ID(), "v2")
	if diff := cmp.Diff([]string{s.v1ID(), "v2"}, f.encryptionKeys()); diff != "" {
		t.Errorf("EncryptionKeys (-want +got):\n%s", diff)
	}
	if got := s.into(f); !strings.Contains(got.Out, "secret/encryption-key-v1 unchanged: the key is there\n") {
		t.Errorf("restoring again: %+v", got)
	}
}

func TestKeysRestoreByPassphrase(t *testing.T) {
	f := newVault(t, rootKey)
	path := filepath.Join(f.home, "keys.age")
	right := f.file("right", canary+"\r\nnot this line")
	if got := f.run("keys", "backup", path, "--passphrase-file", right); got.Code != 0 {
		t.Fatalf("backing up: %+v", got)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f = newFixture(t)
	path = f.file("keys.age", string(text))
	f.user.present, f.user.secrets = true, []string{canary[1:], canary}
	wantRefusal(t, f.run("keys", "restore", path), "~/keys.age: the backup does not open with this identity or passphrase")
	if len(f.material()) > 0 {
		t.Error("something was restored")
	}
	if got := f.run("keys", "restore", path); got.Code != 0 || len(f.material()) != 2 {
		t.Errorf("restoring: %+v", got)
	}
	if diff := cmp.Diff([]string{"Passphrase of the backup (not shown): ", "Passphrase of the backup (not shown): "}, f.user.questions); diff != "" {
		t.Errorf("the questions (-want +got):\n%s", diff)
	}
}

func TestKeysRestoreRefusals(t *testing.T) {
	s := newSaved(t, "")
	f := newFixture(t)
	out := filepath.Join(f.home, "root.key")
	wantRefusal(t, s.into(f, "--passphrase-file", "x"), errWithWhat.Error())
	wantRefusal(t, s.into(f, "--root-key-out", out), "the backup holds no root key: leave --root-key-out out, and take it from where you keep it")
	wantRefusal(t, s.into(f, "--root-key-out", f.file("there", "x")), "~/there exists already, and nothing is written over: name another file")

	path := filepath.Join(f.home, "keys.age")
	empty := f.file("empty", "\n")
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no file":        {[]string{filepath.Join(f.home, "absent")}, "reading the backup: open ~/absent: no such file or directory; name a file that you may read"},
		"no backup":      {[]string{empty, "-i", filepath.Join(f.home, "identity")}, "~/empty: the file is no backup of key material"},
		"no terminal":    {[]string{path}, "there is no terminal to ask for a passphrase at: give --passphrase-file FILE"},
		"no passphrase":  {[]string{path, "--passphrase-file", empty}, "the passphrase is empty: give the one that the backup was made with"},
		"no identity":    {[]string{path, "-i", empty}, errIdentity.Error()},
		"no such file":   {[]string{path, "-i", canary}, "reading the file that --identity names: no such file or directory; give a file that you may read"},
		"another's":      {[]string{path, "-i", f.file("another", keyPair(t).String())}, "~/keys.age: the backup does not open with this identity or passphrase"},
		"cut off":        {[]string{f.file("cut", string(s.text[:400])), "-i", filepath.Join(f.home, "identity")}, "~/cut: the file is no backup of key material: it is cut off or was altered"},
		"not a key pair": {[]string{path, "-i", f.file("public", s.identity.Recipient().String())}, errIdentity.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, f.run(append([]string{"keys", "restore"}, tt.args...)...), tt.want)
		})
	}
	if len(f.material()) > 0 {
		t.Error("something was restored")
	}
}

// creating is a cluster in which creating an object of this type fails.
func creating[T client.Object](err error) interceptor.Funcs {
	return interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, object client.Object, opts ...client.CreateOption) error {
		if _, ok := object.(T); ok {
			return err
		}
		return c.Create(ctx, object, opts...)
	}}
}

func TestKeysRestoreWithoutANamespace(t *testing.T) {
	s := newSaved(t, rootKey)
	f := newFixtureWith(t, creating[*corev1.Secret](apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "usersecrets-system")))
	out := filepath.Join(f.home, "root.key")
	wantRefusal(t, s.into(f, "--root-key-out", out), `namespace "usersecrets-system" is not there: install the operator first, with 'kubectl apply --server-side -k config/default'`)
	if _, err := os.Lstat(out); err == nil {
		t.Error("the root key was written, and stands in the way of the next try")
	}
}

// Before the CRDs are there only the material is restored: the operator makes the
// EncryptionKeys from it.
func TestKeysRestoreWithoutTheKind(t *testing.T) {
	s := newSaved(t, "")
	f := newFixtureWith(t, creating[*v1alpha1.EncryptionKey](apierrors.NewGenericServerResponse(http.StatusNotFound, "create", schema.GroupResource{}, "", "", 0, true)))
	want := outcome{Out: "secret/encryption-key-v1 restored\nsecret/encryption-key-v2 restored\nsecret/value-identity-key restored\n" +
		"the operator must be given root key " + rootKeyID + ", which wraps this material\n"}
	if diff := cmp.Diff(want, s.into(f)); diff != "" {
		t.Errorf("restoring (-want +got):\n%s", diff)
	}
}

func TestKeysRestoreFailures(t *testing.T) {
	s := newSaved(t, "")
	secrets := schema.GroupResource{Resource: "secrets"}
	t.Run("a Secret that is no material", func(t *testing.T) {
		f := newFixtureWith(t, creating[*corev1.Secret](apierrors.NewAlreadyExists(secrets, "encryption-key-v1")))
		wantRefusal(t, s.into(f), `secret "encryption-key-v1" is there, and was no key material when it was looked for: try again, and if it stays so, look at it with kubectl`)
	})
	t.Run("a key that may not be made", func(t *testing.T) {
		f := newFixtureWith(t, creating[*v1alpha1.EncryptionKey](apierrors.NewInternalError(os.ErrInvalid)))
		want := outcome{Code: 1, Out: "secret/encryption-key-v1 restored\n", ErrOut: "error: creating EncryptionKey \"v1\": Internal error occurred: invalid argument\n"}
		if diff := cmp.Diff(want, s.into(f)); diff != "" {
			t.Errorf("restoring (-want +got):\n%s", diff)
		}
	})
	t.Run("a place that is taken, of an old backup", func(t *testing.T) {
		f := newVault(t, otherRoot)
		path, identity := f.file("old.age", ""), f.file("identity", s.identity.String())
		var text bytes.Buffer
		wrapped := keybackup.Secret{Name: "encryption-key-v1", Kind: "encryption-key", RootKeyID: rootKeyID, Wrapped: make([]byte, envelope.EncryptionKeySize)}
		if err := keybackup.Write(&text, keybackup.Backup{Secrets: []keybackup.Secret{wrapped}}, s.identity.Recipient()); err != nil {
			t.Fatal(err)
		}
		f.file("old.age", text.String())
		wantRefusal(t, f.run("keys", "restore", path, "-i", identity), `secret "encryption-key-v1" is taken by another key, and the backup does not say which key id its own has: rename what is there`)
	})
}
