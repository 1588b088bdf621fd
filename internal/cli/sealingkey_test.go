package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usersecrets.dev/operator/api/v1alpha1"
)

const askFirst = "; ask the administrator of the UserSecret operator, and seal nothing until then"

func TestSealingKeysThatAreRefused(t *testing.T) {
	right := sealingKeyOf(t, "v1", nil)
	tests := map[string]struct {
		change func(*v1alpha1.SealingKey)
		want   string
	}{
		"no owner": {
			change: func(k *v1alpha1.SealingKey) { k.Spec.Owner = "" },
			want:   "the sealing key is not to be trusted: it names no owner" + askFirst,
		},
		"no key id": {
			change: func(k *v1alpha1.SealingKey) { k.Spec.KeyID = "" },
			want:   `the sealing key is not to be trusted: the key id is malformed: it is like "v1-3f9a2c1b", a name of at most 40 of a-z, 0-9 and "-" that neither starts nor ends with "-", then "-" and 8 of 0-9 and a-f` + askFirst,
		},
		"no public key": {
			change: func(k *v1alpha1.SealingKey) { k.Spec.PublicKey = k.Spec.PublicKey[1:] },
			want:   "the sealing key is not to be trusted: the public key is malformed: it has 1215 bytes instead of 1216; take it again from the SealingKey of the namespace" + askFirst,
		},
		"another key's fingerprint": {
			change: func(k *v1alpha1.SealingKey) { k.Spec.Fingerprint = "SHA256:other" },
			want:   "the sealing key is not to be trusted: its fingerprint is " + right.Spec.Fingerprint + ", and it says that it were SHA256:other" + askFirst,
		},
	}
	for name, tt := range tests {
		key := sealingKeyOf(t, "v1", tt.change)
		t.Run("cluster: "+name, func(t *testing.T) {
			f := newFixture(t, key)
			f.stdin.WriteString(canary)
			wantRefusal(t, f.run("seal", "openai", "--from-file=-"), tt.want)
		})
		t.Run("file: "+name, func(t *testing.T) {
			f := newOfflineFixture(t)
			f.stdin.WriteString(canary)
			wantRefusal(t, f.run("seal", "openai", "--from-file=-", "--sealing-key", f.file("key.yaml", asYAML(t, key))), tt.want)
		})
	}
}

func TestSealingKeyFilesThatAreRefused(t *testing.T) {
	right := asYAML(t, sealingKeyOf(t, "v1", nil))
	noKey := "the file that --sealing-key names holds no SealingKey: save one with 'kubectl get sealingkey sealing-key -n NAMESPACE -o yaml'"
	tests := map[string]struct {
		file string
		args []string
		want string
	}{
		"another kind":      {file: strings.Replace(right, "kind: SealingKey", "kind: Secret", 1), want: noKey},
		"a list":            {file: strings.Replace(right, "kind: SealingKey", "kind: List", 1), want: noKey},
		"another group":     {file: strings.Replace(right, "usersecrets.dev/v1alpha1", "example.com/v1", 1), want: noKey},
		"empty":             {file: "", want: noKey},
		"no YAML":           {file: "\x00", want: noKey},
		"broken YAML":       {file: "kind: SealingKey\n" + canary + ": [\n", want: noKey},
		"a value alone":     {file: canary + "\n", want: noKey},
		"another type":      {file: "apiVersion: [" + canary + "]\n", want: noKey},
		"a key twice":       {file: canary + ": 1\n" + canary + ": 2\n", want: noKey},
		"another namespace": {file: right, args: []string{"-n", "bob"}, want: `the sealing key is another namespace's: it is for "alice", and the value for "bob"; what is sealed with it would not open: give the key of that namespace, or --namespace alice`},
		"no namespace":      {file: strings.Replace(right, "  namespace: alice\n", "", 1), want: "the sealing key is not to be trusted: it names no valid namespace; save it again with 'kubectl get sealingkey'"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newOfflineFixture(t)
			f.stdin.WriteString(canary)
			args := append([]string{"seal", "openai", "--from-file=-", "--sealing-key", f.file("key.yaml", tt.file)}, tt.args...)
			wantRefusal(t, f.run(args...), tt.want)
		})
	}
	t.Run("absent", func(t *testing.T) {
		f := newOfflineFixture(t)
		got := f.run("seal", "openai", "--from-file=-", "--sealing-key", f.home+"/absent")
		wantRefusal(t, got, "reading the file that --sealing-key names: no such file or directory; give a file that you may read")
	})
}

func TestNoSealingKeyInTheCluster(t *testing.T) {
	f := newFixture(t)
	f.user.present = true
	got := f.run("seal", "openai", "-n", "bob")
	wantRefusal(t, got, `there is no sealing key in namespace "bob": an administrator gives you the namespace with 'kubectl usersecret onboard', and the operator publishes the key there; or name your own with --namespace`)
	if len(f.user.questions) > 0 {
		t.Errorf("a value was asked for that could not be sealed: %q", f.user.questions)
	}
}

// Keys are remembered at first use, followed through rotations, and refused
// where they change under the same id or owner.
func TestKnownKeys(t *testing.T) {
	v1, v2 := sealingKeyOf(t, "v1", nil), sealingKeyOf(t, "w2", nil)
	forged := sealingKeyOf(t, "v1", func(k *v1alpha1.SealingKey) {
		public := userKey(t, "w2", "alice").PublicKey()
		k.Spec.PublicKey, k.Spec.Fingerprint = public.Bytes(), public.Fingerprint()
	})
	bobs := sealingKeyOf(t, "v1", func(k *v1alpha1.SealingKey) { k.Spec.Owner = "bob" })
	line := func(k *v1alpha1.SealingKey, rest string) string {
		return "sealing key " + k.Spec.KeyID + " of namespace alice, owner " + k.Spec.Owner + ", fingerprint " + k.Spec.Fingerprint + ", " + rest + "; remembered in ~/.config/usersecrets/known_keys\n"
	}
	entry := func(k *v1alpha1.SealingKey) string {
		return strings.Join([]string{clusterURL, "alice", k.Spec.KeyID, k.Spec.Fingerprint, k.Spec.Owner}, " ") + "\n"
	}
	warning := func(k *v1alpha1.SealingKey) string {
		return "somebody may be after your values: have your administrator confirm fingerprint " + k.Spec.Fingerprint + ` and owner "` + k.Spec.Owner + `", and only then add --accept-new-key` + "\n"
	}
	tests := map[string]struct {
		remembered *v1alpha1.SealingKey
		published  *v1alpha1.SealingKey
		args       []string
		wantCode   int
		wantErrOut string
		wantFile   string // its end
	}{
		"first use":           {published: v1, wantErrOut: "notice: " + line(v1, "is seen for the first time"), wantFile: entry(v1)},
		"known":               {remembered: v1, published: v1, wantFile: entry(v1)},
		"known, and accepted": {remembered: v1, published: v1, args: []string{"--accept-new-key"}, wantFile: entry(v1)},
		"rotated":             {remembered: v1, published: v2, wantErrOut: "notice: " + line(v2, "is new, after a rotation"), wantFile: entry(v1) + entry(v2)},
		"forged": {
			remembered: v1, published: forged, wantCode: 1, wantFile: entry(v1),
			wantErrOut: "error: the sealing key is NOT the one that is remembered under key id " + v1.Spec.KeyID + ": its fingerprint was " + v1.Spec.Fingerprint + ", and is " + forged.Spec.Fingerprint + " (remembered in ~/.config/usersecrets/known_keys); " + warning(forged),
		},
		"another owner": {
			remembered: v1, published: bobs, wantCode: 1, wantFile: entry(v1),
			wantErrOut: `error: the namespace has ANOTHER OWNER than the one that is remembered: it was "alice", and is "bob" (remembered in ~/.config/usersecrets/known_keys); ` + warning(bobs),
		},
		"changed, and accepted": {
			remembered: v1, published: forged, args: []string{"--accept-new-key"}, wantFile: entry(forged),
			wantErrOut: "notice: " + line(forged, "is accepted in place of the one remembered"),
		},
		"another owner, and accepted": {
			remembered: v1, published: bobs, args: []string{"--accept-new-key"}, wantFile: entry(bobs),
			wantErrOut: "notice: " + line(bobs, "is accepted in place of the one remembered"),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, tt.published)
			f.stdin.WriteString(canary)
			if tt.remembered != nil {
				f.trust(clusterURL, tt.remembered)
			}
			got := f.run(append([]string{"seal", "openai", "--from-file=-"}, tt.args...)...)
			if got.Code != tt.wantCode || (got.Out == "") != (tt.wantCode != 0) {
				t.Errorf("got code %d and %d bytes of output, want code %d", got.Code, len(got.Out), tt.wantCode)
			}
			if diff := cmp.Diff(tt.wantErrOut, got.ErrOut); diff != "" {
				t.Errorf("standard error (-want +got):\n%s", diff)
			}
			var entries []string
			for entry := range strings.Lines(f.knownKeys()) {
				if !strings.HasPrefix(entry, "#") {
					entries = append(entries, entry)
				}
			}
			if diff := cmp.Diff(tt.wantFile, strings.Join(entries, "")); diff != "" {
				t.Errorf("the known keys (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKnownKeysFile(t *testing.T) {
	key := sealingKeyOf(t, "v1", nil)
	tests := map[string]struct {
		variables map[string]string
		args      []string
		want      string
	}{
		"home":               {want: "~/.config/usersecrets/known_keys"},
		"XDG_CONFIG_HOME":    {variables: map[string]string{"XDG_CONFIG_HOME": "HOME/xdg"}, want: "~/xdg/usersecrets/known_keys"},
		"relative, ignored":  {variables: map[string]string{"XDG_CONFIG_HOME": "xdg"}, want: "~/.config/usersecrets/known_keys"},
		"--known-keys first": {variables: map[string]string{"XDG_CONFIG_HOME": "HOME/xdg"}, args: []string{"--known-keys", "HOME/mine"}, want: "~/mine"},
		"no HOME variable":   {variables: map[string]string{"HOME": ""}, want: "~/.config/usersecrets/known_keys"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, key)
			f.stdin.WriteString(canary)
			for name, value := range tt.variables {
				f.variables[name] = strings.ReplaceAll(value, "HOME", f.home)
			}
			args := []string{"seal", "openai", "--from-file=-"}
			for _, arg := range tt.args {
				args = append(args, strings.ReplaceAll(arg, "HOME", f.home))
			}
			if got := f.run(args...); !strings.HasSuffix(got.ErrOut, "; remembered in "+tt.want+"\n") {
				t.Errorf("the notice: got %q, want it to end in %s", got.ErrOut, tt.want)
			}
		})
	}
}

func TestKnownKeysThatCannotBeKept(t *testing.T) {
	f := newFixture(t, sealingKeyOf(t, "v1", nil))
	f.stdin.WriteString(canary)
	got := f.run("seal", "openai", "--from-file=-", "--known-keys", f.file("file", "")+"/known_keys")
	wantRefusal(t, got, "reading the known keys: open ~/file/known_keys: not a directory; give --known-keys FILE with a file that you may write")

	got = f.run("seal", "openai", "--from-file=-", "--known-keys", f.file("broken", "what is this\n"))
	wantRefusal(t, got, "the file of known keys cannot be read: line 1 of ~/broken: it is no known key: it has 3 fields instead of 5; correct or delete that line")
}
