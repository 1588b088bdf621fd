package keyring

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What a Secret with key material looks like; docs/spec/keys.md has it in words.
const (
	// MaterialLabel marks the Secrets that hold wrapped key material; its value is
	// the kind of material.
	MaterialLabel = "usersecrets.dev/key-material"
	// NameAnnotation is the name bound into the wrap, where the Secret is not named
	// after it: restored material whose place was taken.
	NameAnnotation = "usersecrets.dev/key-name"
	// SequenceAnnotation repeats the sequence number in the clear, so that the rank
	// of a key that does not unwrap can be told. Nothing is opened or sealed by it.
	SequenceAnnotation = "usersecrets.dev/key-sequence"
	// KeyIDAnnotation repeats the key id, which a backup goes by.
	KeyIDAnnotation = "usersecrets.dev/key-id"
	// RemovalAnnotation says since when a key may be removed, RFC 3339.
	RemovalAnnotation = "usersecrets.dev/removal-approved-at"

	// WrappedField and RootKeyField are the two fields of such a Secret.
	WrappedField = "wrapped"
	RootKeyField = "rootKeyID"

	// SecretPrefix starts the names of the Secrets of encryption keys; what
	// follows is the name of the EncryptionKey that stands for it.
	SecretPrefix = kindEncryptionKey + "-"
)

// +kubebuilder:rbac:groups="",namespace=usersecrets-system,resources=secrets,verbs=get;list;create;update;delete

// store keeps wrapped material in Secrets of the operator's namespace. It creates
// them, wraps what they hold by another root key, and deletes those whose removal
// was approved; the key in one is never replaced by another.
type store struct {
	client    client.Client
	namespace string
	roots     []Root
}

func secretName(kind, name string) string {
	if kind == kindEncryptionKey {
		return SecretPrefix + name
	}
	return kind
}

// filed is material as it lies in its Secret.
type filed struct {
	material // without a key where problem is set
	secret   *corev1.Secret
	problem  error
}

// object is the name of the EncryptionKey that stands for the material.
func (f *filed) object() string { return strings.TrimPrefix(f.secret.Name, SecretPrefix) }

func (f *filed) rootID() string { return string(f.secret.Data[RootKeyField]) }

// claims is the sequence number that the Secret claims in the clear; 0 where it
// claims none.
func (f *filed) claims() uint64 {
	n, err := strconv.ParseUint(f.secret.Annotations[SequenceAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// removable is since when the material may be removed; false where it may not.
func (f *filed) removable() (time.Time, bool) {
	at, err := time.Parse(time.RFC3339, f.secret.Annotations[RemovalAnnotation])
	return at, err == nil
}

// load reads all material. What does not unwrap is returned with its problem:
// ErrTampered, ErrWrongRootKey, ErrRootUnavailable. remembered is asked before a
// root key is, so that a KMS is not asked again for what is known.
func (s *store) load(ctx context.Context, remembered func(*corev1.Secret) (material, bool)) ([]filed, error) {
	var secrets corev1.SecretList
	if err := s.client.List(ctx, &secrets, client.InNamespace(s.namespace), client.HasLabels{MaterialLabel}); err != nil {
		return nil, fmt.Errorf("listing key material in namespace %q: %w", s.namespace, err)
	}
	all := make([]filed, 0, len(secrets.Items))
	for i := range secrets.Items {
		f := filed{secret: &secrets.Items[i]}
		f.kind = f.secret.Labels[MaterialLabel]
		if m, ok := remembered(f.secret); ok {
			f.material = m
		} else if m, err := s.open(ctx, f.secret); err != nil {
			f.problem = err
		} else {
			f.material = m
		}
		all = append(all, f)
	}
	return all, nil
}

// open unwraps the material of a Secret.
func (s *store) open(ctx context.Context, secret *corev1.Secret) (material, error) {
	kind, name, err := filedAs(secret)
	if err != nil {
		return material{}, err
	}
	m, err := s.unwrap(ctx, kind, name, string(secret.Data[RootKeyField]), secret.Data[WrappedField])
	if err != nil {
		return material{}, err
	}
	return m, m.checkPlace(secret)
}

// filedAs says what a Secret claims to hold.
func filedAs(secret *corev1.Secret) (kind, name string, err error) {
	kind = secret.Labels[MaterialLabel]
	name = strings.TrimPrefix(secret.Name, SecretPrefix)
	if secretName(kind, name) != secret.Name {
		return "", "", fmt.Errorf("%w: Secret %q is labelled as %q but not named like one; restore it from a backup", ErrTampered, secret.Name, kind)
	}
	if bound := secret.Annotations[NameAnnotation]; bound != "" {
		name = bound
	}
	if len(secret.Data[RootKeyField]) == 0 {
		return "", "", fmt.Errorf("%w: Secret %q names no root key; restore it from a backup", ErrTampered, secret.Name)
	}
	return kind, name, nil
}

// checkPlace: a Secret is named after the material's name or, where that place
// was taken, after its key id; anything else is a copy.
func (m material) checkPlace(secret *corev1.Secret) error {
	if secret.Name == secretName(m.kind, m.name) {
		return nil
	}
	if id, err := m.id(); err == nil && m.kind == kindEncryptionKey && secret.Name == SecretPrefix+string(id) {
		return nil
	}
	return fmt.Errorf("%w: Secret %q holds the material of %s %q; restore it from a backup", ErrTampered, secret.Name, m.kind, m.name)
}

// unwrap asks the root key of that id. A KMS key may go by several names, so
// where none has that id each KMS is asked.
func (s *store) unwrap(ctx context.Context, kind, name, rootID string, wrapped []byte) (material, error) {
	var unreachable error
	for _, root := range s.roots {
		if root.ID() == rootID {
			return unwrap(ctx, root, kind, name, wrapped)
		}
	}
	for _, root := range s.roots {
		if !isRemote(root) || !remoteID(rootID) {
			continue
		}
		m, err := unwrap(ctx, root, kind, name, wrapped)
		if err == nil {
			return m, nil
		}
		if errors.Is(err, ErrRootUnavailable) {
			unreachable = err
		}
	}
	if unreachable != nil {
		return material{}, unreachable
	}
	return material{}, fmt.Errorf("%w: %s %q is wrapped by root key %s, but %s is configured; start the operator with the root key that the vault was made with",
		ErrWrongRootKey, kind, name, rootID, s.rootIDs())
}

func (s *store) rootIDs() string {
	ids := make([]string, 0, len(s.roots))
	for _, root := range s.roots {
		ids = append(ids, root.ID())
	}
	return strings.Join(ids, ", ")
}

// create stores new material. Another replica may have been first; then what it
// stored stands and created is false. Where what stands is no material of that
// kind and name, the error is ErrTampered or ErrWrongRootKey: taken for granted,
// it would be missing without anybody being told.
func (s *store) create(ctx context.Context, m material) (created bool, err error) {
	wrapped, err := m.wrap(ctx, s.roots[0])
	if err != nil {
		return false, err
	}
	secret := NewMaterialSecret(s.namespace, m.kind, secretName(m.kind, m.name), wrapped, s.roots[0].ID())
	if m.kind == kindEncryptionKey {
		id, err := m.id()
		if err != nil {
			return false, fmt.Errorf("naming encryption key %q: %w", m.name, err)
		}
		secret.Annotations = map[string]string{SequenceAnnotation: strconv.FormatUint(m.sequence, 10), KeyIDAnnotation: string(id)}
	}
	if err := s.client.Create(ctx, secret); err != nil {
		if apierrors.IsAlreadyExists(err) {
			return false, s.check(ctx, secret)
		}
		return false, fmt.Errorf("storing %s %q: %w", m.kind, m.name, err)
	}
	return true, nil
}

// Verify says whether the material of a Secret opens with these root keys. Errors:
// ErrTampered, ErrWrongRootKey, ErrRootUnavailable.
func Verify(ctx context.Context, secret *corev1.Secret, roots []Root) error {
	m, err := (&store{roots: roots}).open(ctx, secret)
	clear(m.key)
	return err
}

// NewMaterialSecret is the Secret that wrapped material lies in.
func NewMaterialSecret(namespace, kind, name string, wrapped []byte, rootKeyID string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace,
			Name:      name,
			Labels:    map[string]string{MaterialLabel: kind, "app.kubernetes.io/part-of": "usersecret-operator"},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{WrappedField: wrapped, RootKeyField: []byte(rootKeyID)},
	}
}

// check says whether the Secret that stands under a name is material.
func (s *store) check(ctx context.Context, named *corev1.Secret) error {
	var there corev1.Secret
	if err := s.client.Get(ctx, client.ObjectKeyFromObject(named), &there); err != nil {
		return fmt.Errorf("reading Secret %q: %w", named.Name, err)
	}
	m, err := s.open(ctx, &there)
	clear(m.key)
	return err
}

// update writes a Secret that was read, where it is still as it was read.
func (s *store) update(ctx context.Context, secret *corev1.Secret) error {
	if err := s.client.Update(ctx, secret); err != nil {
		return fmt.Errorf("writing Secret %q: %w", secret.Name, err)
	}
	return nil
}

// remove deletes a Secret that was read, where it is still as it was read.
func (s *store) remove(ctx context.Context, secret *corev1.Secret) error {
	err := s.client.Delete(ctx, secret, client.Preconditions{UID: &secret.UID, ResourceVersion: &secret.ResourceVersion})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting Secret %q: %w", secret.Name, err)
	}
	return nil
}
