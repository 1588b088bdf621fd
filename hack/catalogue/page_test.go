package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/catalogue"
)

func TestRows(t *testing.T) {
	tests := map[string]struct {
		spec v1alpha1.SecretProviderSpec
		want string
	}{
		"a test over HTTP": {
			spec: v1alpha1.SecretProviderSpec{DisplayName: "One", DocsURL: "https://one.example/keys", Types: []v1alpha1.ProviderType{
				{Type: v1alpha1.TypeAPIKey, Key: "ONE_KEY", Test: &v1alpha1.ProviderTest{HTTP: &v1alpha1.HTTPTest{URL: "https://api.one.example:8443/bot{{value}}/me?q={{value}}"}}},
			}},
			want: "| `one` | [One](https://one.example/keys) | `api_key` | `ONE_KEY` | api.one.example |  |\n",
		},
		"a database, and no page": {
			spec: v1alpha1.SecretProviderSpec{DisplayName: "One", Types: []v1alpha1.ProviderType{
				{Type: v1alpha1.TypeConnectionString, Key: "ONE_URL", AllowMultiple: true, Test: &v1alpha1.ProviderTest{MySQL: &v1alpha1.MySQLTest{}}},
			}},
			want: "| `one` | One | `connection_string` | `ONE_URL` | the server itself | several |\n",
		},
		"two types, untested": {
			spec: v1alpha1.SecretProviderSpec{DisplayName: "One", Types: []v1alpha1.ProviderType{
				{Type: v1alpha1.TypeAPIKey, Key: "ONE_KEY"}, {Type: v1alpha1.TypeWebhookSecret, Key: "ONE_SECRET"},
			}},
			want: "| `one` | One | `api_key` | `ONE_KEY` | no |  |\n|  |  | `webhook_secret` | `ONE_SECRET` | no |  |\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got strings.Builder
			rows(&got, &v1alpha1.SecretProvider{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Spec: tt.spec})
			if diff := cmp.Diff(tt.want, got.String()); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

// A provider of a category that the page does not know would be on no table.
func TestPageHasEveryProvider(t *testing.T) {
	files, err := catalogue.Load(filepath.Join("..", "..", "config", "providers"))
	if err != nil {
		t.Fatal(err)
	}
	text := page(files)
	for _, file := range files {
		if !strings.Contains(text, "\n| `"+file.Provider.Name+"` | ") {
			t.Errorf("the page has no row for %s", file.Provider.Name)
		}
	}
}

func TestPageIsCurrent(t *testing.T) {
	to := filepath.Join(t.TempDir(), "page.md")
	if err := write(filepath.Join("..", "..", "config", "providers"), to); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("..", "..", "docs", "usage", "providers.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/usage/providers.md is not current: run 'make generate' (-want +got):\n%s", diff)
	}
}
