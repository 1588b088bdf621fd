package main

import (
	"context"
	"crypto/rand"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
	"usersecrets.dev/operator/test/lab"
	"usersecrets.dev/operator/test/rig"
)

// shape is how many users there are, and UserSecrets of each.
type shape struct {
	name           string
	users, secrets int
}

func (s shape) String() string {
	return counted(s.users, "user") + " × " + counted(s.secrets, "UserSecret")
}

// counted is a number of things in words.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// population is a shape that is there. Each user has a namespace of the same name.
type population struct {
	shape
	users []string
}

// source is a UserSecret that a pod asks for.
type source struct{ namespace, name string }

// source spreads pods evenly over users, and over each user's UserSecrets.
func (p *population) source(pod int) source {
	return source{
		namespace: p.users[pod%len(p.users)],
		name:      secretName(pod / len(p.users) % p.secrets),
	}
}

func secretName(i int) string { return fmt.Sprintf("key-%d", i) }

// setUpWorkers prepare side by side.
const setUpWorkers = 8

// populate onboards the users of a shape and stores their values, sealed by
// their owners. It returns when the operator has looked at every one.
func (b *bed) populate(ctx context.Context, s shape) (*population, error) {
	say("preparing %s", s)
	p := &population{shape: s}
	for i := range s.users {
		p.users = append(p.users, fmt.Sprintf("%s-%d", s.name, i))
	}
	if err := inParallel(len(p.users), setUpWorkers, func(i int) error { return b.onboard(ctx, p.users[i]) }); err != nil {
		return nil, err
	}
	if err := inParallel(s.users, setUpWorkers, func(i int) error { return b.store(ctx, p.users[i], s.secrets) }); err != nil {
		return nil, err
	}
	if err := b.awaitObserved(ctx, p); err != nil {
		return nil, err
	}
	return p, b.awaitCounted(ctx, p)
}

// awaitCounted returns when the active key's status counts a population, which it
// does a little later: nothing is left to be written then.
func (b *bed) awaitCounted(ctx context.Context, p *population) error {
	return lab.Await(ctx, "the active key to count the UserSecrets", func(ctx context.Context) (bool, error) {
		var keys v1alpha1.EncryptionKeyList
		if err := b.Client.List(ctx, &keys); err != nil {
			return false, err
		}
		for i := range keys.Items {
			if keys.Items[i].Status.Phase == v1alpha1.KeyActive {
				return keys.Items[i].Status.SealedSecrets >= int64(len(p.users)*p.secrets), nil
			}
		}
		return false, nil
	})
}

// onboard is what an administrator does for a user, without a kubectl for each step.
func (b *bed) onboard(ctx context.Context, user string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: user, Annotations: map[string]string{v1alpha1.OwnerAnnotation: user}}}
	if err := b.Client.Create(ctx, namespace); err != nil {
		return fmt.Errorf("making namespace %s: %w", user, err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: user, Name: "owner"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "usersecret-owner"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if err := b.Client.Create(ctx, binding); err != nil {
		return fmt.Errorf("making %s its owner: %w", user, err)
	}
	if err := b.AwaitSealingKey(ctx, user); err != nil {
		return err
	}
	return lab.Await(ctx, "the default ServiceAccount of "+user, func(ctx context.Context) (bool, error) {
		err := b.Client.Get(ctx, types.NamespacedName{Namespace: user, Name: "default"}, &corev1.ServiceAccount{})
		return err == nil, client.IgnoreNotFound(err)
	})
}

// store creates a user's UserSecrets as that user.
func (b *bed) store(ctx context.Context, user string, n int) error {
	cfg := b.Admin()
	cfg.Impersonate = rest.ImpersonationConfig{UserName: user}
	as, err := client.New(cfg, client.Options{Scheme: rig.Scheme()})
	if err != nil {
		return err
	}
	key, err := b.sealingKey(ctx, user)
	if err != nil {
		return err
	}
	for i := range n {
		us, err := sealed(key, user, secretName(i))
		if err != nil {
			return err
		}
		if err := as.Create(ctx, us); err != nil {
			return fmt.Errorf("storing UserSecret %s/%s: %w", user, us.Name, err)
		}
	}
	return nil
}

func (b *bed) sealingKey(ctx context.Context, user string) (*envelope.PublicKey, error) {
	key := &v1alpha1.SealingKey{}
	if err := b.Client.Get(ctx, types.NamespacedName{Namespace: user, Name: v1alpha1.SealingKeyName}, key); err != nil {
		return nil, err
	}
	return envelope.NewPublicKey(envelope.KeyID(key.Spec.KeyID), key.Spec.PublicKey)
}

// sealed is a UserSecret of one user with a value of an API key's size.
func sealed(key *envelope.PublicKey, user, name string) (*v1alpha1.UserSecret, error) {
	text, err := key.Seal(envelope.Binding{Owner: user, Namespace: user, Name: name}, secretvalue.FromString(newValue()))
	return &v1alpha1.UserSecret{
		ObjectMeta: metav1.ObjectMeta{Namespace: user, Name: name},
		Spec:       v1alpha1.UserSecretSpec{Provider: "custom", Type: v1alpha1.TypeAPIKey, EncryptedValue: text},
	}, err
}

// newValue is 56 characters, as long as common API keys.
func newValue() string { return "sk-b" + rand.Text() + rand.Text() }

// awaitObserved returns when every UserSecret of a population is Ready.
func (b *bed) awaitObserved(ctx context.Context, p *population) error {
	return inParallel(len(p.users), setUpWorkers, func(i int) error {
		return lab.Await(ctx, "the UserSecrets of "+p.users[i]+" to be ready", func(ctx context.Context) (bool, error) {
			var list v1alpha1.UserSecretList
			if err := b.Client.List(ctx, &list, client.InNamespace(p.users[i])); err != nil {
				return false, err
			}
			ready := 0
			for n := range list.Items {
				conditions := list.Items[n].Status.Conditions
				verdict := apimeta.FindStatusCondition(conditions, v1alpha1.ConditionVerified)
				if apimeta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReady) && verdict != nil {
					ready++
				}
			}
			return ready >= p.secrets, nil
		})
	})
}
