package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/internal/keybackup"
	"usersecrets.dev/operator/internal/keyring"
)

// Root keys, and the ids that their material is stored with.
var (
	rootKey, rootKeyID = rootKeyOf("0123456789abcdef")
	otherRoot, _       = rootKeyOf("fedcba9876543210")
)

func rootKeyOf(digits string) (text, id string) {
	text = strings.Repeat(digits, 4)
	root, err := keyring.ParseRootKey(text)
	if err != nil {
		panic(err) // the text is ours
	}
	return text, root.ID()
}

// newVault is a fixture whose operator, with this root key, has made v1, the key
// that identifies values, and the keys named.
func newVault(t *testing.T, root string, names ...string) *fixture {
	t.Helper()
	f := newFixture(t)
	f.hidden = []string{rootKey, otherRoot, "AGE-SECRET-KEY-1"}
	ring := f.keyring(root)
	if err := ring.Bootstrap(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if _, err := ring.EnsureKey(context.Background(), name); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// keyring is an operator's, with these root keys.
func (f *fixture) keyring(roots string) *keyring.Keyring {
	f.t.Helper()
	parsed, err := keyring.ParseRootKeys(roots)
	if err != nil {
		f.t.Fatal(err)
	}
	return keyring.New(keyring.Config{Client: f.api, Namespace: "usersecrets-system", Roots: parsed})
}

// material is what lies in the operator's namespace, by name.
func (f *fixture) material() map[string]corev1.Secret {
	f.t.Helper()
	list := &corev1.SecretList{}
	if err := f.api.List(context.Background(), list, client.InNamespace("usersecrets-system")); err != nil {
		f.t.Fatal(err)
	}
	found := map[string]corev1.Secret{}
	for _, secret := range list.Items {
		found[secret.Name] = secret
	}
	return found
}

// keyPair is one of age's.
func keyPair(t *testing.T) *age.X25519Identity {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

// wantBackup opens a backup of all that the vault holds.
func (f *fixture) wantBackup(path, root string, identity age.Identity) {
	f.t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		f.t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		f.t.Errorf("the backup's mode: got %v, error %v; want 0600", info.Mode(), err)
	}
	if bytes.Contains(content, []byte(rootKey)) || bytes.Contains(content, []byte(rootKeyID)) {
		f.t.Error("the backup is not encrypted")
	}
	got, err := keybackup.Read(bytes.NewReader(content), identity)
	if err != nil {
		f.t.Fatal(err)
	}
	want := &keybackup.Backup{Format: keybackup.Format, CreatedAt: now, Server: clusterURL, RootKey: root}
	for _, name := range []string{"encryption-key-v1", "encryption-key-v2", "value-identity-key"} {
		secret := f.material()[name]
		want.Secrets = append(want.Secrets, keybackup.FromSecret(&secret))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		f.t.Errorf("the backup (-want +got):\n%s", diff)
	}
}

func TestKeysBackup(t *testing.T) {
	withoutRoot := "to use it takes root key " + rootKeyID + ", which is not in it: keep that elsewhere\n"
	t.Run("to a recipient", func(t *testing.T) {
		f, identity := newVault(t, rootKey, "v2"), keyPair(t)
		path := filepath.Join(f.home, "keys.age")
		want := outcome{Out: "~/keys.age holds 3 Secrets with key material\n" + withoutRoot}
		if diff := cmp.Diff(want, f.run("keys", "backup", path, "--recipient", identity.Recipient().String())); diff != "" {
			t.Errorf("backing up (-want +got):\n%s", diff)
		}
		f.wantBackup(path, "", identity)
	})
	t.Run("with the root key", func(t *testing.T) {
		f, identity := newVault(t, rootKey, "v2"), keyPair(t)
		path := filepath.Join(f.home, "keys.age")
		want := outcome{Out: "~/keys.age holds 3 Secrets with key material\nthe root key is in it, and opens all of them\n"}
		got := f.run("keys", "backup", path, "-r", keyPair(t).Recipient().String(), "-r", identity.Recipient().String(), "--root-key-file", f.file("root.key", rootKey+"\n"))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("backing up (-want +got):\n%s", diff)
		}
		f.wantBackup(path, rootKey, identity)
	})
	t.Run("with a passphrase", func(t *testing.T) {
		f := newVault(t, rootKey, "v2")
		f.user.present, f.user.secret = true, canary
		path := filepath.Join(f.home, "keys.age")
		want := outcome{Out: "~/keys.age holds 3 Secrets with key material\n" + withoutRoot}
		if diff := cmp.Diff(want, f.run("keys", "backup", path)); diff != "" {
			t.Errorf("backing up (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"Passphrase for the backup (not shown): ", "The same again (not shown): "}, f.user.questions); diff != "" {
			t.Errorf("the questions (-want +got):\n%s", diff)
		}
		identity, err := age.NewScryptIdentity(canary)
		if err != nil {
			t.Fatal(err)
		}
		f.wantBackup(path, "", identity)
	})
}

// Where no backup can be made, none is left behind.
func TestKeysBackupRefusals(t *testing.T) {
	recipient := keyPair(t).Recipient().String()
	tests := map[string]struct {
		args []string
		// change is made to the fixture; files it has are root.key, other.key, empty and there.
		change func(*fixture)
		want   string
	}{
		"no recipient":        {args: []string{"-r", "ssh-ed25519 " + canary}, want: errRecipient.Error()},
		"two ways":            {args: []string{"-r", recipient, "--passphrase-file", "x"}, want: errToWhom.Error()},
		"no terminal":         {want: "there is no terminal to ask for a passphrase at: give --passphrase-file FILE"},
		"two passphrases":     {change: func(f *fixture) { f.user.present, f.user.secrets = true, []string{canary, canary + "x"} }, want: "the two passphrases differ: try again"},
		"a short one":         {change: func(f *fixture) { f.user.present, f.user.secret = true, canary[:11] }, want: errShortPassphrase.Error()},
		"a short one, filed":  {args: []string{"--passphrase-file", "~/short"}, want: errShortPassphrase.Error()},
		"no passphrase file":  {args: []string{"--passphrase-file", canary}, want: "reading the file that --passphrase-file names: no such file or directory; give a file that you may read"},
		"a paste of lines":    {change: func(f *fixture) { f.user.present, f.user.err = true, errSeveralLines }, want: "no passphrase was taken: type one line of characters, or give --passphrase-file FILE"},
		"no root key file":    {args: []string{"-r", recipient, "--root-key-file", canary}, want: "reading the file that --root-key-file names: no such file or directory; give a file that you may read"},
		"no root key in it":   {args: []string{"-r", recipient, "--root-key-file", "~/short"}, want: errNoRootKeyFile.Error()},
		"another root key":    {args: []string{"-r", recipient, "--root-key-file", "~/other.key"}, want: `secret "encryption-key-v1" is wrapped by root key ` + rootKeyID + `, and ` + errOtherRootKey.Error()},
		"another namespace":   {args: []string{"-r", recipient, "--operator-namespace=other"}, want: `namespace "other" holds no key material: name the operator's namespace with --operator-namespace, or see its log`},
		"a folder not there":  {args: []string{"-r", recipient}, change: func(f *fixture) { f.home += "/absent" }, want: "writing the file: open ~/keys.age: no such file or directory; name one in a folder that you may write to"},
		"Ctrl-C at the first": {change: func(f *fixture) { f.user.present, f.user.err = true, errInterrupted }, want: "interrupted"},
		"material is broken": {args: []string{"-r", recipient, "--root-key-file", "~/root.key"}, change: func(f *fixture) {
			secret := f.material()["encryption-key-v2"]
			secret.Data[keyring.WrappedField][20] ^= 1
			if err := f.api.Update(context.Background(), &secret); err != nil {
				f.t.Fatal(err)
			}
		}, want: `trying the root key: key material was altered: encryption-key "v2" does not unwrap; restore its Secret from a backup`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newVault(t, rootKey, "v2")
			for name, content := range map[string]string{"root.key": rootKey, "other.key": otherRoot, "short": canary[:11]} {
				f.file(name, content)
			}
			args := append([]string{"keys", "backup"}, tt.args...)
			for i := range args {
				args[i] = strings.Replace(args[i], "~", f.home, 1)
			}
			if tt.change != nil {
				tt.change(f)
			}
			path := filepath.Join(f.home, "keys.age")
			got := f.run(append(args, path)...)
			want := outcome{Code: 1, ErrOut: "error: " + tt.want + "\n"}
			if tt.want == "interrupted" {
				want.Code = 130
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the refusal (-want +got):\n%s", diff)
			}
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a file was left behind (error %v)", err)
			}
		})
	}
}

// A file, or a link to nowhere, is refused before anything is asked.
func TestKeysBackupOverwritesNothing(t *testing.T) {
	f := newVault(t, rootKey)
	f.user.present, f.user.secret = true, canary
	path := f.file("keys.age", "precious")
	link := filepath.Join(f.home, "link")
	if err := os.Symlink(filepath.Join(f.home, "absent"), link); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, f.run("keys", "backup", path), "~/keys.age exists already, and nothing is written over: name another file")
	wantRefusal(t, f.run("keys", "backup", link), "~/link exists already, and nothing is written over: name another file")
	if content, err := os.ReadFile(path); err != nil || string(content) != "precious" || len(f.user.questions) > 0 {
		t.Errorf("the file: got %q, error %v, questions %q", content, err, f.user.questions)
	}
	// One that came while the passphrase was typed.
	if err := writeNew(path, nil); !errors.Is(err, errFileExists) {
		t.Errorf("writing: got %v, want errFileExists", err)
	}
}
