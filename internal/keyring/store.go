package keyring

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// MaterialLabel marks the Secrets that hold wrapped key material; its value is
// the kind of material.
const MaterialLabel = "usersecrets.dev/key-material"

const (
	wrappedField = "wrapped"
	rootKeyField = "rootKeyID"
	namePrefix   = kindEncryptionKey + "-"
)

// +kubebuilder:rbac:groups="",namespace=usersecrets-system,resources=secrets,verbs=get;list;create

// store keeps wrapped material in Secrets of the operator's namespace. It only
// ever reads and creates: no code path overwrites or deletes material.
type store struct {
	client    client.Client
	namespace string
	roots     []Root
}

func secretName(kind, name string) string {
	if kind == kindEncryptionKey {
		return namePrefix + name
	}
	return kind
}

// load reads all material, encryption keys in order of their sequence numbers.
func (s *store) load(ctx context.Context) (keys []material, identity *material, err error) {
	var secrets corev1.SecretList
	if err := s.client.List(ctx, &secrets, client.InNamespace(s.namespace), client.HasLabels{MaterialLabel}); err != nil {
		return nil, nil, fmt.Errorf("listing key material in namespace %q: %w", s.namespace, err)
	}
	for i := range secrets.Items {
		m, err := s.open(ctx, &secrets.Items[i])
		if err != nil {
			return nil, nil, err
		}
		if m.kind == kindIdentityKey {
			identity = &m
			continue
		}
		keys = append(keys, m)
	}
	slices.SortFunc(keys, func(a, b material) int {
		return cmp.Or(cmp.Compare(a.sequence, b.sequence), strings.Compare(a.name, b.name))
	})
	return keys, identity, nil
}

func (s *store) open(ctx context.Context, secret *corev1.Secret) (material, error) {
	kind := secret.Labels[MaterialLabel]
	name := strings.TrimPrefix(secret.Name, namePrefix)
	if secretName(kind, name) != secret.Name {
		return material{}, fmt.Errorf("%w: Secret %q is labelled as %q but not named like one; restore it from a backup", ErrTampered, secret.Name, kind)
	}
	rootID := string(secret.Data[rootKeyField])
	for _, root := range s.roots {
		if root.ID() == rootID {
			return unwrap(ctx, root, kind, name, secret.Data[wrappedField])
		}
	}
	if rootID == "" {
		return material{}, fmt.Errorf("%w: Secret %q names no root key; restore it from a backup", ErrTampered, secret.Name)
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
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.namespace,
			Name:      secretName(m.kind, m.name),
			Labels:    map[string]string{MaterialLabel: m.kind, "app.kubernetes.io/part-of": "usersecret-operator"},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{
			wrappedField: wrapped,
			rootKeyField: []byte(s.roots[0].ID()),
		},
	}
	if err := s.client.Create(ctx, secret); err != nil {
		if apierrors.IsAlreadyExists(err) {
			return false, s.check(ctx, secret)
		}
		return false, fmt.Errorf("storing %s %q: %w", m.kind, m.name, err)
	}
	return true, nil
}

// check says whether the Secret that stands under a name is material.
func (s *store) check(ctx context.Context, named *corev1.Secret) error {
	var there corev1.Secret
	if err := s.client.Get(ctx, client.ObjectKeyFromObject(named), &there); err != nil {
		return fmt.Errorf("reading Secret %q: %w", named.Name, err)
	}
	_, err := s.open(ctx, &there)
	return err
}
