package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/audit"
	"usersecrets.dev/operator/internal/catalogue"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
	"usersecrets.dev/operator/internal/selection"
	"usersecrets.dev/operator/internal/verify"
)

// validator is the validating half of UserSecret admission: who may write, and
// whether what they write holds together. It looks only where spec or a guarded
// annotation changes, so that backups, label edits and storage migration pass.
type validator struct {
	*vault
}

var (
	errStranger = errors.New("this namespace's UserSecrets may be written by its owner, and by who holds the verb 'delegate' on usersecrets in it: ask an administrator")
	errOperator = errors.New("the operator changes nothing but spec.encryptedValue")
	errResealed = errors.New("the operator seals the same value again, and no other")
	errCreator  = errors.New("annotation " + v1alpha1.CreatedByAnnotation + " is stamped when the UserSecret is created, and stays: leave it out")
	errNoName   = errors.New("a sealed value is bound to its name, which nobody knows before generateName makes it: give metadata.name instead of generateName, and seal the value for that name")
	errRequest  = errors.New("annotation " + v1alpha1.VerifyRequestedAtAnnotation + " is no time: give the present one, such as 2030-01-31T12:00:00Z (RFC 3339), or use 'kubectl usersecret test'")
	errAhead    = errors.New("annotation " + v1alpha1.VerifyRequestedAtAnnotation + " lies more than 5 minutes ahead: give the present time, and set the clock of the machine that wrote it")
	errPast     = errors.New("spec.expiresAt lies in the past: give a time to come, or leave it out")
)

// write is one UserSecret write, with what is known about it.
type write struct {
	req      admission.Request
	old, new *v1alpha1.UserSecret // old is nil on CREATE
	owner    string
	standing standing
}

// Handle implements admission.Handler.
func (v *validator) Handle(ctx context.Context, req admission.Request) admission.Response {
	w := &write{req: req, new: &v1alpha1.UserSecret{}}
	if err := json.Unmarshal(req.Object.Raw, w.new); err != nil {
		return admission.Errored(http.StatusBadRequest, errors.New("the object is no UserSecret"))
	}
	if req.Operation == admissionv1.Update {
		w.old = &v1alpha1.UserSecret{}
		if err := json.Unmarshal(req.OldObject.Raw, w.old); err != nil {
			return admission.Errored(http.StatusBadRequest, errors.New("the old object is no UserSecret"))
		}
		if !w.guardedChange() {
			return v.checkMetadata(ctx, w)
		}
	}
	warnings, err := v.check(ctx, w)
	if err != nil {
		return v.refuse(req, w.owner, err).WithWarnings(warnings...)
	}
	v.record(req, w.owner, audit.Allowed, "")
	return admission.Allowed("").WithWarnings(warnings...)
}

func (w *write) valueChanged() bool {
	return w.old == nil || w.old.Spec.EncryptedValue != w.new.Spec.EncryptedValue
}

// newValue says whether somebody gives a value, other than the operator, which
// only seals the present one again. A rotation must not stop at values that have
// expired, or whose provider changed its pattern since.
func (w *write) newValue() bool { return w.valueChanged() && w.standing != isOperator }

func (v *validator) check(ctx context.Context, w *write) ([]string, error) {
	var err error
	if w.owner, err = v.owners.Of(ctx, w.req.Namespace); err != nil {
		return nil, err
	}
	if w.standing, err = v.requesters.standingOf(ctx, w.req.UserInfo, w.owner, w.req.Namespace, w.new.Name); err != nil {
		return nil, err
	}
	if err := w.authorised(); err != nil {
		return nil, err
	}
	if err := v.checkRequest(w); err != nil {
		return nil, err
	}
	entry, err := v.checkProvider(ctx, w)
	if err != nil {
		return nil, err
	}
	if err := v.checkExpiry(w); err != nil {
		return nil, err
	}
	warnings, err := v.checkValue(ctx, w, entry)
	if err != nil {
		return warnings, err
	}
	return warnings, v.checkRival(ctx, w, entry)
}

func (w *write) authorised() error {
	switch w.standing {
	case stranger:
		return errStranger
	case isOperator:
		if !w.resealed() {
			return errOperator
		}
	}
	return w.checkCreator()
}

// resealed says whether nothing guarded differs but the sealed value; the
// creator's annotation is checked for everybody.
func (w *write) resealed() bool {
	if w.old == nil {
		return false
	}
	same := w.new.Spec.DeepCopy()
	same.EncryptedValue = w.old.Spec.EncryptedValue
	return equality.Semantic.DeepEqual(w.old.Spec, *same) &&
		w.old.Annotations[v1alpha1.VerifyRequestedAtAnnotation] == w.new.Annotations[v1alpha1.VerifyRequestedAtAnnotation] &&
		!w.endChanged()
}

func (w *write) checkCreator() error {
	want := w.req.UserInfo.Username
	if w.old != nil {
		want = w.old.Annotations[v1alpha1.CreatedByAnnotation]
	}
	if w.new.Annotations[v1alpha1.CreatedByAnnotation] != want {
		return errCreator
	}
	return nil
}

// clocksApart is how far ahead the clock of who asks for a test may be.
const clocksApart = 5 * time.Minute

// checkRequest: a request is a time, and none so far ahead that later ones would
// not count.
func (v *validator) checkRequest(w *write) error {
	text := w.new.Annotations[v1alpha1.VerifyRequestedAtAnnotation]
	if text == "" || w.old != nil && w.old.Annotations[v1alpha1.VerifyRequestedAtAnnotation] == text {
		return nil
	}
	at, err := verify.ParseRequest(text)
	switch {
	case err != nil:
		return errRequest
	case at.Sub(v.now()) > clocksApart:
		return errAhead
	}
	return nil
}

func (v *validator) checkProvider(ctx context.Context, w *write) (*v1alpha1.ProviderType, error) {
	entry, err := v.entry(ctx, w.new.Spec)
	// A provider or type that was removed from the catalogue must not keep
	// anybody from switching a secret off or replacing its value.
	if w.old != nil && (errors.Is(err, catalogue.ErrUnknownProvider) || errors.Is(err, catalogue.ErrUnknownType)) {
		return &v1alpha1.ProviderType{Type: w.new.Spec.Type}, nil
	}
	return entry, err
}

func (v *validator) entry(ctx context.Context, spec v1alpha1.UserSecretSpec) (*v1alpha1.ProviderType, error) {
	provider, err := v.provider(ctx, spec.Provider)
	if err != nil {
		return nil, err
	}
	return catalogue.Type(provider, spec.Type)
}

func (v *validator) checkExpiry(w *write) error {
	at := w.new.Spec.ExpiresAt
	if at == nil || at.After(v.now()) {
		return nil
	}
	if w.old != nil && at.Equal(w.old.Spec.ExpiresAt) && !w.newValue() {
		return nil
	}
	return errPast
}

// checkValue opens the sealed value at its place. A value that no longer opens
// must not keep its owner from changing anything else about it.
func (v *validator) checkValue(ctx context.Context, w *write, entry *v1alpha1.ProviderType) ([]string, error) {
	value, err := v.open(ctx, w)
	if err != nil {
		if !w.valueChanged() {
			return nil, nil
		}
		if errors.Is(err, envelope.ErrNotOpened) && w.nameGenerated() {
			err = errNoName
		}
		return nil, fmt.Errorf("spec.encryptedValue: %w", err)
	}
	defer value.Zero()
	if w.standing == isOperator && w.valueChanged() {
		if err := v.checkSame(ctx, w, value); err != nil {
			return nil, err
		}
	}
	// Only to the owner may an answer depend on the value, but for the catalogue's
	// pattern: anybody else could check guesses against it.
	if w.standing == isOwner {
		if err := v.checkRepetition(w, value); err != nil {
			return nil, err
		}
	}
	if w.newValue() {
		warnings, err := checkPattern(entry, value)
		return append(warnings, v.staleKey(w)...), err
	}
	return nil, nil
}

// checkSame: a rotation changes no value, whatever goes wrong in it.
func (v *validator) checkSame(ctx context.Context, w *write, value secretvalue.Value) error {
	place := envelope.Binding{Owner: w.owner, Namespace: w.req.Namespace, Name: w.new.Name}
	before, err := v.keys.OpenText(ctx, w.old.Spec.EncryptedValue, place)
	if err != nil {
		return errResealed
	}
	defer before.Zero()
	if !before.Equal(value) {
		return errResealed
	}
	return nil
}

// staleKey warns of a sealed value whose key a newer one has taken over from.
func (v *validator) staleKey(w *write) []string {
	id := envelope.KeyIDOf(w.new.Spec.EncryptedValue)
	active, err := v.keys.Active()
	if err != nil || id == active.ID {
		return nil
	}
	return []string{fmt.Sprintf("spec.encryptedValue is sealed with key %s, and %s has taken over; the older key will be deleted some day. "+
		"For a manifest that you keep: 'kubectl usersecret reseal -f FILE'", id, active.ID)}
}

// The API server makes a name from the first 58 characters of generateName at
// most, and 5 of its own.
const (
	maxGeneratedFrom = 58
	generatedPart    = 5
)

// nameGenerated says whether the name of a new object looks like one that was made
// from metadata.generateName. Validation sees it as if it had been given.
func (w *write) nameGenerated() bool {
	from := w.new.GenerateName
	if w.old != nil || from == "" {
		return false
	}
	from = from[:min(len(from), maxGeneratedFrom)]
	return strings.HasPrefix(w.new.Name, from) && len(w.new.Name) == len(from)+generatedPart
}

func (v *validator) open(ctx context.Context, w *write) (secretvalue.Value, error) {
	place := envelope.Binding{Owner: w.owner, Namespace: w.req.Namespace, Name: w.new.Name}
	return v.keys.OpenText(ctx, w.new.Spec.EncryptedValue, place)
}

func (v *validator) checkRepetition(w *write, value secretvalue.Value) error {
	var object map[string]any
	if err := json.Unmarshal(w.req.Object.Raw, &object); err != nil {
		return fmt.Errorf("decoding the object: %w", err)
	}
	if path := repetition(object, value); path != "" {
		return errRepeated(path)
	}
	return nil
}

func checkPattern(entry *v1alpha1.ProviderType, value secretvalue.Value) ([]string, error) {
	err := catalogue.CheckPattern(entry, value)
	if err != nil && entry.PatternPolicy != v1alpha1.PatternEnforce {
		return []string{err.Error()}, nil
	}
	return nil, err
}

func (v *validator) checkRival(ctx context.Context, w *write, entry *v1alpha1.ProviderType) error {
	becomesActive := w.old == nil || !selection.Active(w.old) || !equality.Semantic.DeepEqual(w.old.Spec.ExpiresAt, w.new.Spec.ExpiresAt)
	if entry.AllowMultiple || !becomesActive || selection.Usable(w.new, v.now()) != nil {
		return nil
	}
	siblings, err := v.userSecrets(ctx, w.req.Namespace)
	if err != nil {
		return err
	}
	if rival := selection.Rival(w.new, siblings, v.now()); rival != nil {
		return fmt.Errorf("UserSecret %q is active for provider %q and type %s already: set its spec.active to false first, or change its value instead", rival.Name, w.new.Spec.Provider, w.new.Spec.Type)
	}
	return nil
}

// checkMetadata admits a write that changes nothing guarded. The owner alone is
// kept from writing the value into a label or annotation.
func (v *validator) checkMetadata(ctx context.Context, w *write) admission.Response {
	if equality.Semantic.DeepEqual(w.old.Labels, w.new.Labels) && equality.Semantic.DeepEqual(w.old.Annotations, w.new.Annotations) {
		return admission.Allowed("")
	}
	var err error
	if w.owner, err = v.owners.Of(ctx, w.req.Namespace); err != nil || w.owner != w.req.UserInfo.Username {
		return admission.Allowed("")
	}
	value, err := v.open(ctx, w)
	if err != nil {
		return admission.Allowed("")
	}
	defer value.Zero()
	if err := v.checkRepetition(w, value); err != nil {
		return *v.refuse(w.req, w.owner, err)
	}
	return admission.Allowed("")
}
