package webhook

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/api/v1alpha1"
)

// userSecret builds a UserSecret of alice's: openai/api_key.
type userSecret struct{ *v1alpha1.UserSecret }

func makeSecret(name string) userSecret {
	return userSecret{&v1alpha1.UserSecret{
		TypeMeta: metav1.TypeMeta{APIVersion: "usersecrets.dev/v1alpha1", Kind: "UserSecret"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, CreationTimestamp: metav1.NewTime(noon.Add(-time.Hour)),
			Annotations: map[string]string{v1alpha1.CreatedByAnnotation: "alice"},
		},
		Spec: v1alpha1.UserSecretSpec{Provider: "openai", Type: v1alpha1.TypeAPIKey},
	}}
}

func (s userSecret) with(change func(*v1alpha1.UserSecret)) userSecret {
	changed := s.DeepCopy()
	change(changed)
	return userSecret{changed}
}

func (s userSecret) sealed(text string) userSecret {
	return s.with(func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = text })
}

// generated has a prefix that names are made from.
func (s userSecret) generated(prefix string) userSecret {
	return s.with(func(us *v1alpha1.UserSecret) { us.GenerateName = prefix })
}

func (s userSecret) plain(value string) userSecret {
	return s.with(func(us *v1alpha1.UserSecret) { us.Spec.Value = &value })
}

func (s userSecret) of(provider string, t v1alpha1.SecretType) userSecret {
	return s.with(func(us *v1alpha1.UserSecret) { us.Spec.Provider, us.Spec.Type = provider, t })
}

func (s userSecret) active(active bool) userSecret {
	return s.with(func(us *v1alpha1.UserSecret) { us.Spec.Active = &active })
}

func (s userSecret) expires(in time.Duration) userSecret {
	at := metav1.NewTime(noon.Add(in))
	return s.with(func(us *v1alpha1.UserSecret) { us.Spec.ExpiresAt = &at })
}

// annotated sets an annotation, or with an empty text removes it.
func (s userSecret) annotated(key, text string) userSecret {
	return s.with(func(us *v1alpha1.UserSecret) {
		if text == "" {
			delete(us.Annotations, key)
			return
		}
		us.Annotations[key] = text
	})
}
