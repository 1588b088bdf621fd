package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/catalogue"
)

var (
	errNoProvider      = errors.New("--provider is missing")
	errBadProvider     = errors.New("--provider is no valid name: it is that of a SecretProvider, such as openai, of at most 63 lower case letters, digits and '-'")
	errUnknownProvider = fmt.Errorf("%w: 'kubectl get secretproviders' lists the catalogue, and 'custom' takes anything", catalogue.ErrUnknownProvider)
	errNoType          = errors.New("--type is missing: without a cluster nobody can say which types the provider has")
	errUnknownType     = errors.New("--type is none of the types of secrets")
	errEmptyCatalogue  = errors.New("no SecretProvider exists in this cluster: ask an administrator to install the catalogue")
	errNoSuchSelection = errors.New("that is none of the providers: answer with a number or name from the list, or give --provider")
)

// secretTypes are all types that a UserSecret may have.
var secretTypes = []string{
	string(v1alpha1.TypeAPIKey), string(v1alpha1.TypeOAuthToken), string(v1alpha1.TypeWebhookSecret),
	string(v1alpha1.TypeConnectionString), string(v1alpha1.TypeCustom),
}

// kindOfSecret is the provider and the type of a value. Errors repeat neither as
// it was given: what stands there may be the value, in the wrong place.
type kindOfSecret struct {
	provider   string
	secretType string
	// entry is the catalogue's for both; nil where it was not read.
	entry *v1alpha1.ProviderType
}

// validate refuses what needs no cluster to be known as wrong.
func (k *kindOfSecret) validate() error {
	// Of the bounds that the API has for it.
	if k.provider != "" && len(validation.IsDNS1123Label(k.provider)) > 0 {
		return errBadProvider
	}
	if k.secretType == "" || slices.Contains(secretTypes, k.secretType) {
		return nil
	}
	return fmt.Errorf("%w: give one of %s", errUnknownType, strings.Join(secretTypes, ", "))
}

// settleOffline asks for both to be given.
func (k *kindOfSecret) settleOffline() error {
	switch {
	case k.provider == "":
		return fmt.Errorf("%w: give the name of a SecretProvider, such as openai", errNoProvider)
	case k.secretType == "":
		return fmt.Errorf("%w; give one of %s", errNoType, strings.Join(secretTypes, ", "))
	}
	return nil
}

// settle fills in what was not given: the provider by asking, the type by what
// the provider lists first.
func (k *kindOfSecret) settle(ctx context.Context, env *Environment, from client.Reader) error {
	if k.provider == "" {
		provider, err := choose(ctx, env, from)
		if err != nil {
			return err
		}
		return k.settleType(provider)
	}
	return k.settleGiven(ctx, from)
}

// settleGiven looks the provider up in the list, and does not ask for it by name:
// that would stand in the API server's log and answers.
func (k *kindOfSecret) settleGiven(ctx context.Context, from client.Reader) error {
	providers := &v1alpha1.SecretProviderList{}
	err := from.List(ctx, providers)
	switch {
	case apierrors.IsForbidden(err) && k.secretType != "":
		return nil // the API server knows the catalogue, and has the last word anyway
	case err != nil:
		return fmt.Errorf("listing the SecretProviders: %w", err)
	}
	for i := range providers.Items {
		if providers.Items[i].Name == k.provider {
			return k.settleType(&providers.Items[i])
		}
	}
	return errUnknownProvider
}

func (k *kindOfSecret) settleType(provider *v1alpha1.SecretProvider) error {
	entry, err := catalogue.Type(provider, v1alpha1.SecretType(k.secretType))
	if err != nil {
		return err
	}
	k.provider, k.secretType, k.entry = provider.Name, string(entry.Type), entry
	return nil
}

// choose has the user pick a provider, or says which there are.
func choose(ctx context.Context, env *Environment, from client.Reader) (*v1alpha1.SecretProvider, error) {
	providers := &v1alpha1.SecretProviderList{}
	if err := from.List(ctx, providers); err != nil {
		return nil, fmt.Errorf("listing the SecretProviders: %w", err)
	}
	if len(providers.Items) == 0 {
		return nil, errEmptyCatalogue
	}
	if !env.Prompter.Interactive() {
		return nil, fmt.Errorf("%w: give one of %s", errNoProvider, strings.Join(names(providers.Items), ", "))
	}
	answer, err := env.Prompter.Ask(ctx, menu(providers.Items))
	if err != nil {
		return nil, err
	}
	return selected(providers.Items, answer)
}

func menu(providers []v1alpha1.SecretProvider) string {
	var text strings.Builder
	text.WriteString("Whose value is it?\n")
	for i, p := range providers {
		fmt.Fprintf(&text, "%4d) %-16s %s (%s)\n", i+1, p.Name, oneLine(p.Spec.DisplayName), strings.Join(catalogue.Types(&providers[i]), ", "))
	}
	text.WriteString("Number or name: ")
	return text.String()
}

func selected(providers []v1alpha1.SecretProvider, answer string) (*v1alpha1.SecretProvider, error) {
	answer = strings.TrimSpace(answer)
	if number, err := strconv.Atoi(answer); err == nil && number >= 1 && number <= len(providers) {
		return &providers[number-1], nil
	}
	for i := range providers {
		if providers[i].Name == answer {
			return &providers[i], nil
		}
	}
	return nil, errNoSuchSelection
}

func names(providers []v1alpha1.SecretProvider) []string {
	all := make([]string, 0, len(providers))
	for _, p := range providers {
		all = append(all, p.Name)
	}
	return all
}
