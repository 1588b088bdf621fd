// Package selection decides which UserSecrets a pod's request means, and
// whether it may have them now.
//
// It is one pure function over what its callers fetched: admission asks it to
// refuse early, the projection controller asks it again before every grant.
package selection

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/catalogue"
	"usersecrets.dev/operator/internal/inject"
)

// Why an item of a request cannot be served.
var (
	// ErrMissing means that no such UserSecret exists yet: the pod waits.
	ErrMissing = errors.New("no such UserSecret yet")
	// ErrInactive means that the UserSecret is switched off.
	ErrInactive = errors.New("UserSecret is inactive")
	// ErrExpired means that the UserSecret's expiresAt has passed.
	ErrExpired = errors.New("UserSecret has expired")
	// ErrAmbiguous means that several UserSecrets are meant equally.
	ErrAmbiguous = errors.New("several UserSecrets match")
)

// World is what a decision is made from: one namespace's UserSecrets, the
// catalogue, and the time.
type World struct {
	UserSecrets []*v1alpha1.UserSecret
	Provider    func(name string) (*v1alpha1.SecretProvider, error)
	Now         time.Time
}

// Choice is the answer for one item.
type Choice struct {
	Item inject.Item
	// Key is the key of the projected Secret.
	Key string
	// UserSecret is the one that the item means; it may be set with Err.
	UserSecret *v1alpha1.UserSecret
	// Err says why the item cannot be served; nil means that it can.
	Err error
	// Until is when time alone may change an answer that is ErrAmbiguous: the first
	// of those that match expires. Zero for never.
	Until time.Time
}

// Choose answers every item of a request, in order.
func Choose(w World, items []inject.Item) []Choice {
	choices := make([]Choice, 0, len(items))
	for _, item := range items {
		choices = append(choices, w.choose(item))
	}
	return choices
}

func (w World) choose(item inject.Item) Choice {
	if item.Name != "" {
		return w.byName(item)
	}
	provider, err := w.Provider(item.Provider)
	if err != nil {
		return Choice{Item: item, Err: err}
	}
	entry, err := catalogue.Type(provider, v1alpha1.SecretType(item.Type))
	if err != nil {
		return Choice{Item: item, Err: err}
	}
	choice := Choice{Item: item, Key: cmp.Or(item.Key, entry.Key)}
	candidates := Candidates(w.UserSecrets, item.Provider, entry.Type)
	if len(candidates) == 0 {
		choice.Err = fmt.Errorf("%w: provider %q, type %s; the namespace's owner makes one with 'kubectl usersecret create'", ErrMissing, item.Provider, entry.Type)
		return choice
	}
	choice.UserSecret, choice.Err = w.pick(candidates, entry)
	if errors.Is(choice.Err, ErrAmbiguous) {
		choice.Until = w.firstExpiry(candidates)
	}
	return choice
}

// firstExpiry is when the first of several UserSecrets expires, of those that did
// not yet.
func (w World) firstExpiry(candidates []*v1alpha1.UserSecret) time.Time {
	var first time.Time
	for _, us := range candidates {
		at := us.Spec.ExpiresAt
		if at != nil && Usable(us, w.Now) == nil && (first.IsZero() || at.Time.Before(first)) {
			first = at.Time
		}
	}
	return first
}

// pick prefers what is usable and, among those, the oldest; where nothing is
// usable the oldest tells why.
func (w World) pick(candidates []*v1alpha1.UserSecret, entry *v1alpha1.ProviderType) (*v1alpha1.UserSecret, error) {
	var usable []*v1alpha1.UserSecret
	for _, us := range candidates {
		if Usable(us, w.Now) == nil {
			usable = append(usable, us)
		}
	}
	switch {
	case len(usable) == 0:
		return candidates[0], Usable(candidates[0], w.Now)
	case len(usable) > 1 && entry.AllowMultiple:
		return nil, fmt.Errorf("%w: ask for one by name, as in %s", ErrAmbiguous, nameList(usable))
	default:
		return usable[0], nil
	}
}

// nameList is the first few names in the order of the alphabet.
func nameList(secrets []*v1alpha1.UserSecret) string {
	const shown = 3
	names := make([]string, 0, len(secrets))
	for _, us := range secrets {
		names = append(names, "name:"+us.Name)
	}
	slices.Sort(names)
	return strings.Join(names[:min(shown, len(names))], " or ")
}

func (w World) byName(item inject.Item) Choice {
	choice := Choice{Item: item, Key: item.Key}
	for _, us := range w.UserSecrets {
		if us.Name != item.Name || !us.DeletionTimestamp.IsZero() {
			continue
		}
		choice.UserSecret = us
		if choice.Key == "" {
			choice.Key, choice.Err = w.defaultKey(us)
		}
		if err := Usable(us, w.Now); err != nil {
			choice.Err = err
		}
		return choice
	}
	choice.Err = fmt.Errorf("%w: %q; the namespace's owner makes it with 'kubectl usersecret create %s'", ErrMissing, item.Name, item.Name)
	return choice
}

func (w World) defaultKey(us *v1alpha1.UserSecret) (string, error) {
	provider, err := w.Provider(us.Spec.Provider)
	if err != nil {
		return "", err
	}
	entry, err := catalogue.Type(provider, us.Spec.Type)
	if err != nil {
		return "", err
	}
	return entry.Key, nil
}

// Candidates are the UserSecrets of a provider and type, oldest first; equal
// ages are ordered by name, so that every caller sees the same order. Deleted
// ones do not count: a finalizer, which others may set, keeps nothing in use.
func Candidates(all []*v1alpha1.UserSecret, provider string, t v1alpha1.SecretType) []*v1alpha1.UserSecret {
	var found []*v1alpha1.UserSecret
	for _, us := range all {
		if us.Spec.Provider == provider && us.Spec.Type == t && us.DeletionTimestamp.IsZero() {
			found = append(found, us)
		}
	}
	slices.SortFunc(found, byAge)
	return found
}

func byAge(a, b *v1alpha1.UserSecret) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
}

// Usable returns nil for a UserSecret that its owner lets pods have at this
// time, else an error that is ErrInactive or ErrExpired.
func Usable(us *v1alpha1.UserSecret, now time.Time) error {
	if !Active(us) {
		return fmt.Errorf("%w: %q; its owner sets spec.active to true again", ErrInactive, us.Name)
	}
	if at := us.Spec.ExpiresAt; at != nil && !now.Before(at.Time) {
		return fmt.Errorf("%w: %q at %s; its owner stores a new value with a later expiresAt", ErrExpired, us.Name, at.UTC().Format(time.RFC3339))
	}
	return nil
}

// Active says whether the owner wants the value given out; unset means yes.
func Active(us *v1alpha1.UserSecret) bool {
	return us.Spec.Active == nil || *us.Spec.Active
}

// Rival returns the oldest other usable UserSecret that keeps this one from
// being given out, or nil. Deleted ones and those of other types do not count.
func Rival(us *v1alpha1.UserSecret, all []*v1alpha1.UserSecret, now time.Time) *v1alpha1.UserSecret {
	for _, other := range Candidates(all, us.Spec.Provider, us.Spec.Type) {
		if other.Name != us.Name && Usable(other, now) == nil {
			return other
		}
	}
	return nil
}
