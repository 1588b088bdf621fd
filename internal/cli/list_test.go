package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"usersecrets.dev/operator/api/v1alpha1"
)

func ago(d time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(-d)} }

func listed(namespace, name, provider string, change func(*v1alpha1.UserSecret)) client.Object {
	us := &v1alpha1.UserSecret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, CreationTimestamp: *ago(50 * time.Hour), Labels: map[string]string{"provider": provider}},
		Spec:       v1alpha1.UserSecretSpec{Provider: provider, Type: v1alpha1.TypeAPIKey, EncryptedValue: "us1.sealed"},
	}
	if change != nil {
		change(us)
	}
	return us
}

// threeSecrets are in the wrong order, one of them used, one expired and one new.
func threeSecrets() []client.Object {
	return []client.Object{
		listed("alice", "zulu", "anthropic", func(us *v1alpha1.UserSecret) {
			us.Spec.ExpiresAt = ago(time.Minute)
			us.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: "False", Reason: "Expired"}}
		}),
		listed("alice", "a-second", "openai", nil),
		listed("alice", "main", "openai", func(us *v1alpha1.UserSecret) {
			us.Spec.ExpiresAt = ago(-90 * 24 * time.Hour)
			us.Status = v1alpha1.UserSecretStatus{
				Masked: "........Xy9z", KeyID: "v1-3f9a2c1b",
				Usage:      &v1alpha1.Usage{Count: 12, LastUsedAt: ago(5 * time.Minute)},
				Conditions: []metav1.Condition{{Type: "Ready", Status: "True", Reason: "Ready"}, {Type: "Verified", Status: "True", Reason: "Accepted"}},
			}
		}),
		listed("bob", "main", "openai", nil),
	}
}

func TestList(t *testing.T) {
	tests := map[string]struct {
		args []string
		want outcome
	}{
		"own namespace": {nil, outcome{Out: `
NAME       PROVIDER    TYPE      MASKED         READY     VERIFIED   USES   LAST USED   EXPIRES   AGE
zulu       anthropic   api_key   <none>         False     <none>     0      <none>      expired   2d2h
a-second   openai      api_key   <none>         Unknown   <none>     0      <none>      <none>    2d2h
main       openai      api_key   ........Xy9z   True      Accepted   12     5m          in 90d    2d2h
`}},
		"wide": {[]string{"-o", "wide", "-l", "provider=openai"}, outcome{Out: `
NAME       PROVIDER   TYPE      MASKED         READY     VERIFIED   USES   LAST USED   EXPIRES   AGE    KEY           REASON
a-second   openai     api_key   <none>         Unknown   <none>     0      <none>      <none>    2d2h   <none>        <none>
main       openai     api_key   ........Xy9z   True      Accepted   12     5m          in 90d    2d2h   v1-3f9a2c1b   Ready
`}},
		"all namespaces": {[]string{"-A", "--no-headers"}, outcome{Out: `
alice   zulu       anthropic   api_key   <none>         False     <none>     0     <none>   expired   2d2h
alice   a-second   openai      api_key   <none>         Unknown   <none>     0     <none>   <none>    2d2h
alice   main       openai      api_key   ........Xy9z   True      Accepted   12    5m       in 90d    2d2h
bob     main       openai      api_key   <none>         Unknown   <none>     0     <none>   <none>    2d2h
`}},
		"another namespace":   {[]string{"-n", "bob", "-o", "name"}, outcome{Out: "\nusersecret.usersecrets.dev/main\n"}},
		"a template":          {[]string{"-o", "jsonpath={.items[*].metadata.name}"}, outcome{Out: "\nzulu a-second main"}},
		"none":                {[]string{"-n", "eve"}, outcome{ErrOut: "No UserSecrets found in eve namespace.\n"}},
		"none that match":     {[]string{"-A", "-l", "provider=slack"}, outcome{ErrOut: "No UserSecrets found.\n"}},
		"none, in YAML":       {[]string{"-n", "eve", "-o", "yaml"}, outcome{Out: "\napiVersion: v1\nitems: []\nkind: List\nmetadata:\n  resourceVersion: \"\"\n"}},
		"a name":              {[]string{"main"}, outcome{Code: 1, ErrOut: "error: list takes no name: 'kubectl get usersecret NAME' shows one\n"}},
		"a bad selector":      {[]string{"-l", "a=b=c"}, outcome{Code: 1, ErrOut: "error: --selector is no label selector: it is like key=value or 'key in (a,b)'\n"}},
		"an unknown format":   {[]string{"-o", "xml"}, outcome{Code: 1, ErrOut: "error: unknown output format: --output is one of wide, json, yaml, kyaml, name, go-template, go-template-file, template, templatefile, jsonpath, jsonpath-as-json, jsonpath-file\n"}},
		"a template cut off":  {[]string{"-o", "jsonpath={.items["}, outcome{Code: 1, ErrOut: "error: reading --output: error parsing jsonpath {.items[, unterminated array\n"}},
		"a template, no flag": {[]string{"--template", "{{len .items}}"}, outcome{Out: "\n3"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.want.Out = strings.TrimPrefix(tt.want.Out, "\n")
			if diff := cmp.Diff(tt.want, newFixture(t, threeSecrets()...).run(append([]string{"list"}, tt.args...)...)); diff != "" {
				t.Errorf("the list (-want +got):\n%s", diff)
			}
		})
	}
}

func TestListPrintsWholeObjects(t *testing.T) {
	f := newFixture(t, listed("alice", "main", "openai", func(us *v1alpha1.UserSecret) {
		us.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "x", Operation: "Update", APIVersion: "usersecrets.dev/v1alpha1", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1("{}")}}
	}))
	want := `apiVersion: v1
items:
- apiVersion: usersecrets.dev/v1alpha1
  kind: UserSecret
  metadata:
    creationTimestamp: "2026-05-30T10:00:00Z"
    labels:
      provider: openai
    name: main
    namespace: alice
    resourceVersion: "999"
  spec:
    encryptedValue: us1.sealed
    provider: openai
    type: api_key
kind: List
metadata:
  resourceVersion: ""
`
	if diff := cmp.Diff(outcome{Out: want}, f.run("list", "-o", "yaml")); diff != "" {
		t.Errorf("the list (-want +got):\n%s", diff)
	}
}

// What comes from the cluster cannot write to the terminal.
func TestListKeepsControlCharactersOut(t *testing.T) {
	f := newFixture(t, listed("alice", "main", "openai", func(us *v1alpha1.UserSecret) { us.Status.Masked = "a\x1b[2Jb\tc" }))
	if got := f.run("list"); !strings.Contains(got.Out, "a [2Jb c") {
		t.Errorf("the list: got %q, want the control characters as spaces", got.Out)
	}
}

func TestListReadsPageByPage(t *testing.T) {
	var asked []client.ListOptions
	funcs := interceptor.Funcs{List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		options := client.ListOptions{}
		options.ApplyOptions(opts)
		asked = append(asked, client.ListOptions{Limit: options.Limit, Continue: options.Continue, Namespace: options.Namespace})
		page := list.(*v1alpha1.UserSecretList)
		page.Items = []v1alpha1.UserSecret{*listed("alice", "page"+options.Continue, "openai", nil).(*v1alpha1.UserSecret)}
		if options.Continue == "" {
			page.Continue = "2"
		}
		return nil
	}}
	got := newFixtureWith(t, funcs).run("list", "-o", "name")
	if want := "usersecret.usersecrets.dev/page\nusersecret.usersecrets.dev/page2\n"; got.Out != want {
		t.Errorf("the list: got %s%s, want %s", got.Out, got.ErrOut, want)
	}
	if diff := cmp.Diff([]client.ListOptions{{Limit: 100, Namespace: "alice"}, {Limit: 100, Continue: "2", Namespace: "alice"}}, asked); diff != "" {
		t.Errorf("the requests (-want +got):\n%s", diff)
	}
}
