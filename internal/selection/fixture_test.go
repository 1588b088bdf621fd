package selection_test

import (
	"errors"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/catalogue"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// userSecret builds a UserSecret: openai/api_key, an hour old, active.
type userSecret struct{ *v1alpha1.UserSecret }

func makeSecret(name string) userSecret {
	return userSecret{&v1alpha1.UserSecret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "alice-flows", CreationTimestamp: metav1.NewTime(noon.Add(-time.Hour))},
		Spec:       v1alpha1.UserSecretSpec{Provider: "openai", Type: v1alpha1.TypeAPIKey},
	}}
}

func (s userSecret) of(provider string, t v1alpha1.SecretType) userSecret {
	s.Spec.Provider, s.Spec.Type = provider, t
	return s
}

func (s userSecret) aged(age time.Duration) userSecret {
	s.CreationTimestamp = metav1.NewTime(noon.Add(-age))
	return s
}

func (s userSecret) active(active bool) userSecret {
	s.Spec.Active = &active
	return s
}

func (s userSecret) expires(in time.Duration) userSecret {
	at := metav1.NewTime(noon.Add(in))
	s.Spec.ExpiresAt = &at
	return s
}

func (s userSecret) deleted() userSecret {
	at := metav1.NewTime(noon)
	s.DeletionTimestamp = &at
	return s
}

func objects(secrets ...userSecret) []*v1alpha1.UserSecret {
	list := make([]*v1alpha1.UserSecret, 0, len(secrets))
	for _, s := range secrets {
		list = append(list, s.UserSecret)
	}
	return list
}

var errDown = errors.New("the API server is down")

// providers are the catalogue of these tests.
func providers(name string) (*v1alpha1.SecretProvider, error) {
	types := map[string][]v1alpha1.ProviderType{
		"openai": {{Type: v1alpha1.TypeAPIKey, Key: "OPENAI_API_KEY"}},
		"slack":  {{Type: v1alpha1.TypeOAuthToken, Key: "SLACK_BOT_TOKEN"}, {Type: v1alpha1.TypeWebhookSecret, Key: "SLACK_SIGNING_SECRET"}},
		"custom": {{Type: v1alpha1.TypeCustom, Key: "CUSTOM_SECRET", AllowMultiple: true}},
	}
	if name == "down" {
		return nil, errDown
	}
	if types[name] == nil {
		return nil, catalogue.UnknownProvider(name)
	}
	return &v1alpha1.SecretProvider{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.SecretProviderSpec{Types: types[name]}}, nil
}
