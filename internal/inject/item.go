package inject

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// MaxItems is how many elements usersecrets.dev/inject may have.
const MaxItems = 64

// namePrefix starts an element that names a UserSecret and not a provider.
const namePrefix = "name:"

// Item is one element of usersecrets.dev/inject. Either Provider is set, with
// or without Type, or Name is.
type Item struct {
	// Provider is a SecretProvider's name, a DNS label (RFC 1123).
	Provider string
	// Type is the kind of credential; empty for the provider's first.
	Type string
	// Name is a UserSecret's name, a DNS subdomain (RFC 1123).
	Name string
	// Key is the file or environment variable that the pod asks for; empty for
	// the key in the catalogue.
	Key string
}

// Source is the element without its key: "provider", "provider/type" or
// "name:usersecret". It is safe to show, unlike the key.
func (i Item) Source() string {
	switch {
	case i.Name != "":
		return namePrefix + i.Name
	case i.Type != "":
		return i.Provider + "/" + i.Type
	default:
		return i.Provider
	}
}

// String is the element as it is written in the annotation.
func (i Item) String() string {
	if i.Key == "" {
		return i.Source()
	}
	return i.Source() + "=" + i.Key
}

// typePattern holds for every SecretType; which types there are, and which of
// them a provider has, is the catalogue's to say.
var typePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// parseItem reads one element, already trimmed and not empty.
func parseItem(text string) (Item, error) {
	source, key, hasKey := strings.Cut(text, "=")
	item, err := parseSource(source)
	if err != nil {
		return Item{}, err
	}
	if !hasKey {
		return item, nil
	}
	if err := CheckKey(key); err != nil {
		return Item{}, fmt.Errorf("after %q: %w", item.Source()+"=", err)
	}
	item.Key = key
	return item, nil
}

func parseSource(text string) (Item, error) {
	if name, ok := strings.CutPrefix(text, namePrefix); ok {
		if len(validation.IsDNS1123Subdomain(name)) > 0 {
			return Item{}, fmt.Errorf(`%q must be followed by the name of a UserSecret: 'kubectl get usersecrets' lists them`, namePrefix)
		}
		return Item{Name: name}, nil
	}
	provider, kind, hasType := strings.Cut(text, "/")
	if len(validation.IsDNS1123Label(provider)) > 0 {
		return Item{}, fmt.Errorf(`not a provider's name (lower case letters, digits and "-", at most 63): 'kubectl get secretproviders' lists them`)
	}
	if hasType && !typePattern.MatchString(kind) {
		return Item{}, fmt.Errorf(`after %q: not a type of secret, such as "api_key" or "oauth_token"`, provider+"/")
	}
	return Item{Provider: provider, Type: kind}, nil
}
