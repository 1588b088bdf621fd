package cli

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/api/v1alpha1"
)

// manifest is what the flags say about a UserSecret besides its value.
type manifest struct {
	kindOfSecret
	displayName string
	description string
	tags        []string
	expiry      string
	inactive    bool

	expiresAt *metav1.Time
}

// errNeedsManifest says that a flag has nowhere to go in a bare sealed value.
var errNeedsManifest = errors.New("a sealed value alone has no place for it: add -o yaml for a whole UserSecret")

// flagNames are the flags of bind.
var flagNames = []string{"provider", "type", "display-name", "description", "tag", "expires-at", "inactive"}

func (m *manifest) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&m.provider, "provider", "", "Name of the SecretProvider that the value is for, such as openai.")
	flags.StringVar(&m.secretType, "type", "", "Type of the value, such as api_key. (default the provider's first)")
	flags.StringVar(&m.displayName, "display-name", "", "Short name for people.")
	flags.StringVar(&m.description, "description", "", "What the value is for. It is not secret.")
	flags.StringArrayVar(&m.tags, "tag", nil, "Word to find the secret by; may be given more than once.")
	flags.StringVar(&m.expiry, "expires-at", "", "When the value stops being given out: a time such as 2030-01-31T12:00:00Z (RFC 3339), or a span from now such as 720h or 90d.")
	flags.BoolVar(&m.inactive, "inactive", false, "Store the value, but give it to no pod yet.")
	completeWith(cmd, "type", secretTypes...)
}

// validate reads what is text in the flags.
func (m *manifest) validate(now time.Time) error {
	if m.expiry != "" {
		at, err := parseExpiry(m.expiry, now)
		if err != nil {
			return err
		}
		m.expiresAt = &metav1.Time{Time: at}
	}
	slices.Sort(m.tags)
	m.tags = slices.Compact(m.tags)
	return m.kindOfSecret.validate()
}

// refuseGiven refuses the flags where there is no manifest.
func (m *manifest) refuseGiven(cmd *cobra.Command) error {
	for _, name := range flagNames {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s: %w", name, errNeedsManifest)
		}
	}
	return nil
}

// userSecret puts a sealed value into its UserSecret.
func (m *manifest) userSecret(namespace, name, sealed string) *v1alpha1.UserSecret {
	us := &v1alpha1.UserSecret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.UserSecretSpec{
			Provider:       m.provider,
			Type:           v1alpha1.SecretType(m.secretType),
			DisplayName:    m.displayName,
			Description:    m.description,
			Tags:           m.tags,
			ExpiresAt:      m.expiresAt,
			EncryptedValue: sealed,
		},
	}
	if m.inactive {
		us.Spec.Active = new(bool)
	}
	return us
}
