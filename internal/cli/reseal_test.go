package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
)

// sealed is the canary, sealed with a key for a UserSecret of alice's.
func sealed(t *testing.T, key, name string) string {
	t.Helper()
	text, err := userKey(t, key, "alice").PublicKey().Seal(envelope.Binding{Owner: "alice", Namespace: "alice", Name: name}, secretvalue.FromString(canary))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// kept is a UserSecret whose value somebody keeps in a manifest, and what the
// operator offers.
func kept(name, value, offer string) *v1alpha1.UserSecret {
	us := &v1alpha1.UserSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "alice", Name: name, Generation: 1}}
	us.Spec.EncryptedValue = value
	us.Status = v1alpha1.UserSecretStatus{ObservedGeneration: 1, ResealedValue: offer, KeyID: string(envelope.KeyIDOf(value))}
	return us
}

const resealed = "usersecret.usersecrets.dev/%s resealed\n"

// manifestOf has comments, quotes and an order that no encoder would keep.
func manifestOf(name, value string) string {
	return fmt.Sprintf(`# alice's key
kind: UserSecret   # of the vault
apiVersion: "usersecrets.dev/v1alpha1"
spec:
    provider: openai
    type: api_key

    encryptedValue: '%s'   # sealed
metadata: {name: %s}
`, value, name)
}

func (f *fixture) read(name string) string {
	f.t.Helper()
	content, err := os.ReadFile(filepath.Join(f.home, name))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(content)
}

func TestResealWritesTheValueAlone(t *testing.T) {
	old, newer := sealed(t, "v1", "openai"), sealed(t, "v2", "openai")
	f := newFixture(t, sealingKeyOf(t, "v2", nil), kept("openai", old, newer))
	path := f.file("openai.yaml", manifestOf("openai", old))
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(f.home, "link.yaml")
	if err := os.Symlink("openai.yaml", link); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(outcome{Out: fmt.Sprintf(resealed, "openai")}, f.run("reseal", "-f", link)); diff != "" {
		t.Errorf("resealing (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(manifestOf("openai", newer), f.read("openai.yaml")); diff != "" {
		t.Errorf("the manifest (-want +got):\n%s", diff)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("the manifest's mode: got %v, error %v; want 0640", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is none any more: %v, error %v", info.Mode(), err)
	}
	if left, err := filepath.Glob(filepath.Join(f.home, ".reseal-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
	// Before it is applied, the file is up to date already.
	if diff := cmp.Diff(outcome{Out: "usersecret.usersecrets.dev/openai unchanged\n"}, f.run("reseal", "-f", path)); diff != "" {
		t.Errorf("resealing again (-want +got):\n%s", diff)
	}
}

// TestResealForms has UserSecrets in all places of a manifest.
func TestResealForms(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	var before, after []any
	objects := []client.Object{sealingKeyOf(t, "v2", nil)}
	for _, name := range names {
		old, newer := sealed(t, "v1", name), sealed(t, "v2", name)
		before, after = append(before, old), append(after, newer)
		objects = append(objects, kept(name, old, newer))
	}
	tests := map[string]string{
		"documents": `---
# first
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
---
apiVersion: usersecrets.dev/v1alpha1
kind: UserSecret
metadata:
  name: a
  namespace: alice
spec:
  encryptedValue: %[1]s
...
---
- a list of other things
---
apiVersion: v1
kind: List
items:
- {apiVersion: usersecrets.dev/v1alpha1, kind: UserSecret, metadata: {name: b}, spec: {encryptedValue: "%[2]s"}}
- {apiVersion: usersecrets.dev/v1alpha1, kind: SecretProvider, metadata: {name: b}, spec: {encryptedValue: "%[2]s"}}
- apiVersion: usersecrets.dev/v1alpha1
  kind: UserSecret
  metadata: {name: c}
  spec:
    encryptedValue: >-
      %[3]s
---
apiVersion: usersecrets.dev/v1alpha1
kind: UserSecret
metadata: {name: d, annotations: {copy: "%[4]s"}}
spec: {encryptedValue: "%[4]s"}
---
# the same once more
apiVersion: usersecrets.dev/v1alpha1
kind: UserSecret
metadata: {name: a}
spec: {encryptedValue: "%[1]s"}
`,
		"JSON": `{"apiVersion":"v1","kind":"List", "items": [
  {"apiVersion":"usersecrets.dev/v1alpha1","kind":"UserSecret","metadata":{"name":"a"},"spec":{"encryptedValue":"%[1]s"}},
  {"apiVersion":"usersecrets.dev/v1alpha1","kind":"UserSecret","metadata":{"name":"b"},"spec":{"encryptedValue":"%[2]s"}},
  {"apiVersion":"usersecrets.dev/v1alpha1","kind":"UserSecret","metadata":{"name":"c"},"spec":{"encryptedValue":"%[3]s"}},
  {"apiVersion":"usersecrets.dev/v1alpha1","kind":"UserSecret","metadata":{"name":"d"},"spec":{"encryptedValue":"%[4]s"}}]}
`,
	}
	told := ""
	for _, name := range names {
		told += fmt.Sprintf(resealed, name)
	}
	for name, format := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, objects...)
			path := f.file("secrets.yaml", fmt.Sprintf(format, before...))
			if diff := cmp.Diff(outcome{Out: told}, f.run("reseal", "-f", path)); diff != "" {
				t.Errorf("resealing (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(fmt.Sprintf(format, after...), f.read("secrets.yaml")); diff != "" {
				t.Errorf("the manifest (-want +got):\n%s", diff)
			}
			// Through standard input, talk is on standard error.
			fmt.Fprintf(f.stdin, format, before...)
			if diff := cmp.Diff(outcome{Out: fmt.Sprintf(format, after...), ErrOut: told}, f.run("reseal", "-f", "-")); diff != "" {
				t.Errorf("resealing in a pipe (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResealFolders(t *testing.T) {
	old, newer := sealed(t, "v1", "openai"), sealed(t, "v2", "openai")
	f := newFixture(t, sealingKeyOf(t, "v2", nil), kept("openai", old, newer))
	if err := os.MkdirAll(filepath.Join(f.home, "secrets", "nested.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	text := manifestOf("openai", old)
	for name, content := range map[string]string{"openai.yml": text, "note.txt": text, "nested.yaml/x.yaml": text, "patch.yaml": "- op: add\n", "chart.yaml": "{{ template }}\n", "empty.json": ""} {
		f.file("secrets/"+name, content)
	}
	want := outcome{Out: fmt.Sprintf(resealed, "openai"), ErrOut: "notice: ~/secrets/chart.yaml is passed over: it is neither YAML nor JSON\n"}
	if diff := cmp.Diff(want, f.run("reseal", "-f", filepath.Join(f.home, "secrets"))); diff != "" {
		t.Errorf("resealing (-want +got):\n%s", diff)
	}
	got := []string{f.read("secrets/openai.yml"), f.read("secrets/note.txt"), f.read("secrets/nested.yaml/x.yaml")}
	if diff := cmp.Diff([]string{manifestOf("openai", newer), text, text}, got); diff != "" {
		t.Errorf("the files (-want +got):\n%s", diff)
	}
}

func TestResealRefusals(t *testing.T) {
	old, newer := sealed(t, "v1", "openai"), sealed(t, "v2", "openai")
	offered := []client.Object{sealingKeyOf(t, "v2", nil), kept("openai", old, newer)}
	plain := manifestOf("openai", old)
	of := "~/openai.yaml: UserSecret alice/openai: "
	tests := map[string]struct {
		objects []client.Object
		text    string
		args    []string
		want    string
	}{
		"not applied":        {text: plain, want: of + errNotApplied.Error()},
		"another namespace":  {objects: offered, text: plain, args: []string{"-n", "bob"}, want: strings.Replace(of, "alice/", "bob/", 1) + errNotApplied.Error()},
		"another value":      {objects: offered, text: manifestOf("openai", sealed(t, "v1", "openai")), want: of + errOtherValue.Error()},
		"folded":             {objects: offered, text: manifestOf("openai", old[:40]+"\n      "+old[40:]), want: of + errNotInText.Error()},
		"escaped":            {objects: offered, text: strings.ReplaceAll(manifestOf("openai", old[:40]+"\\\n      "+old[40:]), "'", `"`), want: of + errNotInText.Error()},
		"no sealed value":    {objects: offered, text: manifestOf("openai", canary), want: of + errNotInText.Error()},
		"no manifest":        {text: "{{ " + canary + " }}", want: "~/openai.yaml: it is neither YAML nor JSON"},
		"half a manifest":    {text: plain + "---\n\t" + canary, want: "~/openai.yaml: it is neither YAML nor JSON"},
		"another kind":       {text: strings.Replace(plain, "kind: UserSecret", "kind: Secret", 1), want: errNoSecrets.Error()},
		"another group":      {text: strings.Replace(plain, "usersecrets.dev", "example.com", 1), want: errNoSecrets.Error()},
		"a value to be sent": {text: strings.Replace(plain, "encryptedValue", "value", 1), want: errNoSecrets.Error()},
		"nothing":            {want: errNoSecrets.Error()},
		"no offer":           {objects: []client.Object{sealingKeyOf(t, "v2", nil), kept("openai", old, "")}, text: plain, want: of + errNoOffer.Error()},
		"an older offer":     {objects: []client.Object{sealingKeyOf(t, "v3", nil), kept("openai", old, newer)}, text: plain, want: of + errNoOffer.Error()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, tt.objects...)
			path := f.file("openai.yaml", tt.text)
			wantRefusal(t, f.runQuickly(append([]string{"reseal", "-f", path}, tt.args...)...), tt.want)
			if diff := cmp.Diff(tt.text, f.read("openai.yaml")); diff != "" {
				t.Errorf("the file (-before +after):\n%s", diff)
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		f := newFixture(t)
		wantRefusal(t, f.run("reseal", "-f", f.home+"/absent"), "reading a manifest: stat ~/absent: no such file or directory; name a file that you may read")
		wantRefusal(t, newOfflineFixture(t).run("reseal"), "--filename is missing: give the manifests with -f FILE; - is standard input")
		wantRefusal(t, newOfflineFixture(t).run("reseal", canary), "reseal takes no arguments: see 'kubectl usersecret reseal --help'")
	})
	t.Run("no sight of the sealing key", func(t *testing.T) {
		f := newFixtureWith(t, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, name client.ObjectKey, object client.Object, opts ...client.GetOption) error {
			if _, ok := object.(*v1alpha1.SealingKey); ok {
				return apierrors.NewForbidden(schema.GroupResource{Group: "usersecrets.dev", Resource: "sealingkeys"}, "sealing-key", errors.New("no right"))
			}
			return c.Get(ctx, name, object, opts...)
		}}, offered...)
		path := f.file("openai.yaml", plain)
		wantRefusal(t, f.run("reseal", "-f", path), of+`reading the namespace's sealing key: sealingkeys.usersecrets.dev "sealing-key" is forbidden: no right`)
	})
}

// What is sealed with the newest key stays.
func TestResealUnchanged(t *testing.T) {
	value := sealed(t, "v1", "openai")
	for name, objects := range map[string][]client.Object{
		"the newest key":             {sealingKeyOf(t, "v1", nil), kept("openai", value, "")},
		"a namespace without owner":  {kept("openai", value, "")},
		"one that was not seen yet ": {sealingKeyOf(t, "v1", nil), kept("openai", value, "")},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, objects...)
			path := f.file("openai.yaml", manifestOf("openai", value))
			before, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(outcome{Out: "usersecret.usersecrets.dev/openai unchanged\n"}, f.run("reseal", "-f", path)); diff != "" {
				t.Errorf("resealing (-want +got):\n%s", diff)
			}
			if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("the file was written again (error %v)", err)
			}
		})
	}
}

// One file that fails keeps no other from being resealed.
func TestResealGoesOn(t *testing.T) {
	a, b, c := sealed(t, "v1", "a"), sealed(t, "v1", "b"), sealed(t, "v1", "c")
	newer := sealed(t, "v2", "c")
	f := newFixture(t, sealingKeyOf(t, "v2", nil), kept("a", a, ""), kept("c", c, newer))
	paths := []string{f.file("a.yaml", manifestOf("a", a)), f.file("b.yaml", manifestOf("b", b)+"---\n"+manifestOf("c", c)), f.file("c.yaml", manifestOf("c", c))}
	want := outcome{
		Code: 1, Out: fmt.Sprintf(resealed, "c"),
		ErrOut: "error: ~/a.yaml: UserSecret alice/a: " + errNoOffer.Error() + "\nerror: ~/b.yaml: UserSecret alice/b: " + errNotApplied.Error() +
			"\nerror: 2 of 3 files were left as they are, for the reasons above\n",
	}
	if diff := cmp.Diff(want, f.runQuickly("reseal", "-f", paths[0], "-f", paths[1], "-f", paths[2])); diff != "" {
		t.Errorf("resealing (-want +got):\n%s", diff)
	}
	got := []string{f.read("a.yaml"), f.read("b.yaml"), f.read("c.yaml")}
	if diff := cmp.Diff([]string{manifestOf("a", a), manifestOf("b", b) + "---\n" + manifestOf("c", c), manifestOf("c", newer)}, got); diff != "" {
		t.Errorf("the files (-want +got):\n%s", diff)
	}
}

// offering is a cluster whose operator offers a value at the third look.
func offering(offer string) interceptor.Funcs {
	looks := 0
	return interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, name client.ObjectKey, object client.Object, opts ...client.GetOption) error {
		err := c.Get(ctx, name, object, opts...)
		if us, ok := object.(*v1alpha1.UserSecret); ok {
			if looks++; looks > 2 {
				us.Status.ObservedGeneration, us.Status.ResealedValue = us.Generation, offer
			}
		}
		return err
	}}
}

func TestResealWaitsForTheOperator(t *testing.T) {
	old, newer := sealed(t, "v1", "openai"), sealed(t, "v2", "openai")
	// What it says is of an earlier value.
	applied := kept("openai", old, sealed(t, "v2", "openai"))
	applied.Status.ObservedGeneration = 0
	f := newFixtureWith(t, offering(newer), sealingKeyOf(t, "v2", nil), applied)
	path := f.file("openai.yaml", manifestOf("openai", old))
	synctest.Test(t, func(*testing.T) {
		began := time.Now()
		if diff := cmp.Diff(outcome{Out: fmt.Sprintf(resealed, "openai")}, f.run("reseal", "-f", path)); diff != "" {
			t.Errorf("resealing (-want +got):\n%s", diff)
		}
		if waited := time.Since(began); waited != 2*poll {
			t.Errorf("waited %s, want %s", waited, 2*poll)
		}
	})
	if diff := cmp.Diff(manifestOf("openai", newer), f.read("openai.yaml")); diff != "" {
		t.Errorf("the manifest (-want +got):\n%s", diff)
	}
}

func TestResealInterrupted(t *testing.T) {
	old := sealed(t, "v1", "openai")
	f := newFixture(t, sealingKeyOf(t, "v2", nil), kept("openai", old, ""))
	path := f.file("openai.yaml", manifestOf("openai", old))
	synctest.Test(t, func(*testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(3*poll, cancel)
		if diff := cmp.Diff(outcome{Code: 130, ErrOut: "error: interrupted\n"}, f.runIn(ctx, "reseal", "-f", path, "-f", path)); diff != "" {
			t.Errorf("Ctrl-C (-want +got):\n%s", diff)
		}
	})
}
