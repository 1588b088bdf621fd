// Package catalogue looks things up in SecretProviders: which types a provider
// has, which key a value is projected under, and whether a value looks right.
// It is pure; callers fetch the SecretProvider.
package catalogue

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/secretvalue"
)

var (
	// ErrUnknownProvider means that no SecretProvider has that name.
	ErrUnknownProvider = errors.New("unknown provider")
	// ErrUnknownType means that the provider does not list that type.
	ErrUnknownType = errors.New("unknown type")
	// ErrPattern means that a value does not match its provider's pattern.
	ErrPattern = errors.New("value does not match the pattern")
)

// UnknownProvider is the error for a name that the catalogue does not hold.
func UnknownProvider(name string) error {
	return fmt.Errorf("%w %q: 'kubectl get secretproviders' lists the catalogue, and 'custom' takes anything", ErrUnknownProvider, name)
}

// Type returns the entry of a provider for a type; an empty type means the
// provider's first.
func Type(p *v1alpha1.SecretProvider, t v1alpha1.SecretType) (*v1alpha1.ProviderType, error) {
	for i := range p.Spec.Types {
		if t == "" || p.Spec.Types[i].Type == t {
			return &p.Spec.Types[i], nil
		}
	}
	return nil, fmt.Errorf("%w %q for provider %q: it has %s", ErrUnknownType, t, p.Name, strings.Join(Types(p), ", "))
}

// Types lists the types of a provider.
func Types(p *v1alpha1.SecretProvider) []string {
	names := make([]string, 0, len(p.Spec.Types))
	for _, t := range p.Spec.Types {
		names = append(names, string(t.Type))
	}
	return names
}

// CheckPattern returns an error that is ErrPattern where the value as a whole
// does not match the pattern (RE2 syntax). It never repeats the value.
func CheckPattern(t *v1alpha1.ProviderType, value secretvalue.Value) error {
	if t.Pattern == "" {
		return nil
	}
	// Compiled as it stands: put between anchors, "a)|(b" would be a pattern, and
	// one that matches parts.
	pattern, err := regexp.Compile(t.Pattern)
	if err != nil {
		return fmt.Errorf("compiling the pattern of type %s: %w: ask an administrator to correct the provider", t.Type, err)
	}
	if matchesWhole(pattern, value.Bytes()) {
		return nil
	}
	hint := ""
	if t.Example != "" {
		hint = fmt.Sprintf(", such as %s", t.Example)
	}
	return fmt.Errorf("%w %s%s: check that the whole value was pasted", ErrPattern, t.Pattern, hint)
}

// matchesWhole: where a match of all of the text exists, it begins leftmost and
// is the longest.
func matchesWhole(pattern *regexp.Regexp, text []byte) bool {
	pattern.Longest()
	found := pattern.FindIndex(text)
	return found != nil && found[0] == 0 && found[1] == len(text)
}
