package webhook

import (
	"errors"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/api/v1alpha1"
)

// provider builds a SecretProvider.
type provider struct{ *v1alpha1.SecretProvider }

func makeProvider(name string, types ...v1alpha1.SecretType) *provider {
	p := &v1alpha1.SecretProvider{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, t := range types {
		p.Spec.Types = append(p.Spec.Types, v1alpha1.ProviderType{Type: t, Key: "KEY"})
	}
	return &provider{p}
}

func (p *provider) pattern(text string) *provider {
	p.Spec.Types[0].Pattern = text
	return p
}

// valid gives the first type an HTTP test with that expression.
func (p *provider) valid(text string) *provider {
	p.Spec.Types[0].Test = &v1alpha1.ProviderTest{HTTP: &v1alpha1.HTTPTest{URL: "https://api.example.com/{{value}}", Valid: text}}
	return p
}

func (p *provider) labelled() *provider {
	p.Labels = map[string]string{"team": "platform"}
	return p
}

// providerRequest is a request as the API server sends it. object is nil on DELETE,
// old on CREATE.
func providerRequest(t *testing.T, object, old *provider) admission.Request {
	t.Helper()
	req := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{UID: "request-1", Operation: admissionv1.Update}}
	if object == nil {
		req.Operation = admissionv1.Delete
	} else {
		req.Object.Raw = encode(t, object)
	}
	if old == nil {
		req.Operation = admissionv1.Create
	} else {
		req.OldObject.Raw = encode(t, old)
	}
	return req
}

func TestSecretProvider(t *testing.T) {
	const (
		named   = `4 UserSecrets (alice-flows/a, alice-flows/b, alice-flows/c, …): delete those first`
		invalid = `SecretProvider.usersecrets.dev "weather" is invalid: spec.types[0].`
	)
	tests := map[string]struct {
		object, old *provider
		secrets     []userSecret
		want        string // a refusal
	}{
		"new":                     {object: makeProvider("weather", "api_key").valid("code == 200")},
		"new, broken":             {object: makeProvider("weather", "api_key").valid("code =="), want: invalid + `test.http.valid: Invalid value: "code ==": at line:column 1:8: Syntax error`},
		"new, two things broken":  {object: makeProvider("weather", "api_key").valid("1").pattern("("), want: `SecretProvider.usersecrets.dev "weather" is invalid: [spec.types[0].pattern: `},
		"changed":                 {object: makeProvider("weather", "api_key").valid("code == 200"), old: makeProvider("weather", "api_key")},
		"changed, broken":         {object: makeProvider("weather", "api_key").pattern("("), old: makeProvider("weather", "api_key"), want: invalid + "pattern: Invalid value: "},
		"changed, not its spec":   {object: makeProvider("weather", "api_key").pattern("(").labelled(), old: makeProvider("weather", "api_key").pattern("(")},
		"deleted":                 {old: makeProvider("weather", "api_key"), secrets: users("openai", "api_key", "a")},
		"deleted, though broken":  {old: makeProvider("weather", "api_key").pattern("(")},
		"deleted, in use":         {old: makeProvider("weather", "api_key"), secrets: users("weather", "api_key", "a"), want: `SecretProvider "weather" is in use by 1 UserSecret (alice-flows/a): delete those first`},
		"deleted, in use by four": {old: makeProvider("weather", "api_key"), secrets: users("weather", "api_key", "d", "b", "a", "c"), want: `SecretProvider "weather" is in use by ` + named},
		"deleted, a type in use that it lacks": {
			old: makeProvider("weather", "api_key"), secrets: users("weather", "custom", "a"),
			want: `SecretProvider "weather" is in use by 1 UserSecret (alice-flows/a): delete those first`,
		},
		"type left out": {object: makeProvider("weather", "api_key"), old: makeProvider("weather", "api_key", "oauth_token"), secrets: users("weather", "api_key", "a")},
		"type left out, in use": {
			object: makeProvider("weather", "api_key"), old: makeProvider("weather", "api_key", "oauth_token"), secrets: users("weather", "oauth_token", "a", "b", "c", "d"),
			want: `a type that is left out of SecretProvider "weather" is in use by ` + named,
		},
		"type that it lacked already": {object: makeProvider("weather", "api_key").pattern("a"), old: makeProvider("weather", "api_key"), secrets: users("weather", "custom", "a")},
		"type added":                  {object: makeProvider("weather", "api_key", "custom"), old: makeProvider("weather", "api_key"), secrets: users("weather", "api_key", "a")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := makeCluster(t)
			for _, us := range tt.secrets {
				c.create(us)
			}
			got := (&curator{vault: c.vault}).Handle(t.Context(), providerRequest(t, tt.object, tt.old))
			message := ""
			if got.Result != nil {
				message = got.Result.Message
			}
			if got.Allowed != (tt.want == "") || !strings.HasPrefix(message, tt.want) {
				t.Errorf("allowed %t, message %q,\nwant %q", got.Allowed, message, tt.want)
			}
			if strings.Contains(tt.want, "invalid: ") && (got.Result.Code != 422 || got.Result.Reason != metav1.StatusReasonInvalid) {
				t.Errorf("code %d, reason %s, want 422 Invalid", got.Result.Code, got.Result.Reason)
			}
		})
	}
}

// users are UserSecrets of a provider and type.
func users(provider string, t v1alpha1.SecretType, names ...string) []userSecret {
	var secrets []userSecret
	for _, name := range names {
		secrets = append(secrets, makeSecret(name).of(provider, t))
	}
	return secrets
}

// Where it cannot be known who uses a provider, it stays.
func TestSecretProviderOfUnknownUse(t *testing.T) {
	c := makeCluster(t)
	c.fail = func(verb string, _ any) error {
		if verb == "list" {
			return errors.New("the cache is not there")
		}
		return nil
	}
	got := (&curator{vault: c.vault}).Handle(t.Context(), providerRequest(t, nil, makeProvider("weather", "api_key")))
	if want := "listing UserSecrets: the cache is not there"; got.Allowed || got.Result.Message != want {
		t.Errorf("allowed %t, result %v, want %q", got.Allowed, got.Result, want)
	}
}

func TestNoSecretProvider(t *testing.T) {
	c := makeCluster(t)
	for name, tt := range map[string]struct {
		object, old, want string
	}{
		"object":     {"[]", "{}", "the object is no SecretProvider"},
		"old object": {"{}", "[]", "the old object is no SecretProvider"},
	} {
		t.Run(name, func(t *testing.T) {
			req := providerRequest(t, makeProvider("a"), makeProvider("a"))
			req.Object.Raw, req.OldObject.Raw = []byte(tt.object), []byte(tt.old)
			got := (&curator{vault: c.vault}).Handle(t.Context(), req)
			if got.Allowed || got.Result.Code != 400 || got.Result.Message != tt.want {
				t.Errorf("allowed %t, result %v, want %q", got.Allowed, got.Result, tt.want)
			}
		})
	}
}
