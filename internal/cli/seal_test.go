package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
)

func TestSealPrintsOneLineThatOpens(t *testing.T) {
	key := sealingKeyOf(t, "v1", nil)
	f := newFixture(t, key)
	f.trust(clusterURL, key)
	f.user.present, f.user.secret = true, canary
	got := f.run("seal", "openai")
	if got.Code != 0 || got.ErrOut != "" {
		t.Fatalf("sealing: got code %d, %s", got.Code, got.ErrOut)
	}
	wantOpens(t, strings.TrimSuffix(got.Out, "\n"), "openai", canary)
	if diff := cmp.Diff([]string{"Value of UserSecret alice/openai (not shown): "}, f.user.questions); diff != "" {
		t.Errorf("the questions (-want +got):\n%s", diff)
	}
}

func TestSealWithoutACluster(t *testing.T) {
	for name, format := range map[string]func(any) ([]byte, error){"YAML": yaml.Marshal, "JSON": func(o any) ([]byte, error) { return yaml.YAMLToJSON([]byte(asYAML(t, o))) }} {
		t.Run(name, func(t *testing.T) {
			f := newOfflineFixture(t)
			f.variables["KEY"] = canary
			text, err := format(sealingKeyOf(t, "v1", nil))
			if err != nil {
				t.Fatal(err)
			}
			path := f.file("a key", string(text))
			got := f.run("seal", "openai", "--from-env=KEY", "--sealing-key", path)
			if got.Code != 0 {
				t.Fatalf("sealing: got code %d, %s", got.Code, got.ErrOut)
			}
			wantOpens(t, strings.TrimSuffix(got.Out, "\n"), "openai", canary)
			if want := "\nfile://~/a%20key alice "; !strings.Contains(f.knownKeys(), want) {
				t.Errorf("the known keys: got %q, want a line with %q", f.knownKeys(), want)
			}
		})
	}
}

func TestSealPrintsAManifest(t *testing.T) {
	key := sealingKeyOf(t, "v1", nil)
	tests := map[string]struct {
		args []string
		want string
	}{
		"least": {
			args: []string{"--provider=openai", "--type=api_key"},
			want: `apiVersion: usersecrets.dev/v1alpha1
kind: UserSecret
metadata:
  name: openai
  namespace: alice
spec:
  encryptedValue: SEALED
  provider: openai
  type: api_key
`,
		},
		"most": {
			args: []string{"--provider=openai", "--type=api_key", "--display-name=My key", "--description=for tests", "--tag=b", "--tag=a", "--tag=b", "--expires-at=90d", "--inactive"},
			want: `apiVersion: usersecrets.dev/v1alpha1
kind: UserSecret
metadata:
  name: openai
  namespace: alice
spec:
  active: false
  description: for tests
  displayName: My key
  encryptedValue: SEALED
  expiresAt: "2026-08-30T12:00:00Z"
  provider: openai
  tags:
  - a
  - b
  type: api_key
`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newOfflineFixture(t)
			f.stdin.WriteString(canary)
			path := f.file("key.yaml", asYAML(t, key))
			got := f.run(append([]string{"seal", "openai", "--from-file=-", "-o", "yaml", "--sealing-key", path}, tt.args...)...)
			var us v1alpha1.UserSecret
			if err := yaml.Unmarshal([]byte(got.Out), &us); err != nil || got.Code != 0 {
				t.Fatalf("sealing: got code %d, %s%v", got.Code, got.ErrOut, err)
			}
			wantOpens(t, us.Spec.EncryptedValue, "openai", canary)
			if diff := cmp.Diff(tt.want, strings.Replace(got.Out, us.Spec.EncryptedValue, "SEALED", 1)); diff != "" {
				t.Errorf("the manifest (-want +got):\n%s", diff)
			}
		})
	}
}

// With a cluster the catalogue says what is not given.
func TestSealAsksTheCatalogue(t *testing.T) {
	key := sealingKeyOf(t, "v1", nil)
	f := newFixture(t, key, provider("slack", v1alpha1.TypeOAuthToken, v1alpha1.TypeWebhookSecret))
	f.trust(clusterURL, key)
	f.stdin.WriteString(canary)
	got := f.run("seal", "slack", "--provider=slack", "--from-file=-", "-o=yaml")
	if got.Code != 0 || !strings.Contains(got.Out, "\n  type: oauth_token\n") {
		t.Errorf("the manifest: got code %d, %s%s", got.Code, got.Out, got.ErrOut)
	}
}

func TestSealRefusals(t *testing.T) {
	types := "api_key, oauth_token, webhook_secret, connection_string, custom"
	tests := map[string]struct {
		args []string
		want string
	}{
		"no provider":         {[]string{"-o=yaml", "--type=api_key"}, "--provider is missing: give the name of a SecretProvider, such as openai"},
		"no type":             {[]string{"-o=yaml", "--provider=openai"}, "--type is missing: without a cluster nobody can say which types the provider has; give one of " + types},
		"unknown type":        {[]string{"-o=yaml", "--provider=openai", "--type=key"}, "--type is none of the types of secrets: give one of " + types},
		"unknown format":      {[]string{"-o=xml"}, "unknown output format: --output is one of json, yaml, kyaml"},
		"expiry of no format": {[]string{"-o=yaml", "--provider=openai", "--type=api_key", "--expires-at=tomorrow"}, "--expires-at is a time such as 2030-01-31T12:00:00Z (RFC 3339), or a span from now such as 720h or 90d"},
		"expiry in the past":  {[]string{"-o=yaml", "--provider=openai", "--type=api_key", "--expires-at=2026-06-01T12:00:00Z"}, "--expires-at lies in the past: give a time or span to come"},
		"owner that is none":  {[]string{"--sealing-key=HOME/owner.yaml"}, fmt.Sprintf("nothing can be sealed for this place: its owner has 600 bytes, choose one of at most %d", envelope.MaxOwnerLength)},
	}
	for flag, argument := range map[string]string{"provider": "openai", "type": "api_key", "display-name": "x", "description": "x", "tag": "x", "expires-at": "90d", "inactive": "true"} {
		tests["--"+flag+" without a manifest"] = struct {
			args []string
			want string
		}{[]string{"--" + flag + "=" + argument}, "--" + flag + ": a sealed value alone has no place for it: add -o yaml for a whole UserSecret"}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newOfflineFixture(t)
			key := sealingKeyOf(t, "v1", nil)
			f.trust("file://"+f.home+"/key.yaml", key)
			f.stdin.WriteString(canary)
			args := []string{"seal", "openai", "--from-file=-", "--sealing-key", f.file("key.yaml", asYAML(t, key))}
			if name == "owner that is none" {
				long := sealingKeyOf(t, "v1", func(k *v1alpha1.SealingKey) { k.Spec.Owner = strings.Repeat("x", 600) })
				f.trust("file://"+f.home+"/owner.yaml", long)
				f.file("owner.yaml", asYAML(t, long))
			}
			for _, arg := range tt.args {
				args = append(args, strings.ReplaceAll(arg, "HOME", f.home))
			}
			wantRefusal(t, f.run(args...), tt.want)
		})
	}
}
