package rig

import (
	"context"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/lab"
)

// Person is somebody with a client certificate of their own.
type Person struct {
	Name       string
	Namespace  string
	Config     *rest.Config
	Client     client.Client
	Kubeconfig string

	rig *Rig
}

// Person makes a user with a real client certificate; nothing is granted yet.
// namespace is the one that the kubeconfig points at.
func (r *Rig) Person(name, namespace string, groups ...string) (*Person, error) {
	cfg, err := r.User(name, groups...)
	if err != nil {
		return nil, err
	}
	return r.person(name, namespace, cfg)
}

// ServiceAccountPerson is a ServiceAccount that is there, with a token.
func (r *Rig) ServiceAccountPerson(ctx context.Context, namespace, name string) (*Person, error) {
	cfg, err := r.ServiceAccountConfig(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	return r.person("system:serviceaccount:"+namespace+":"+name, namespace, cfg)
}

func (r *Rig) person(name, namespace string, cfg *rest.Config) (*Person, error) {
	c, err := client.New(cfg, client.Options{Scheme: Scheme()})
	if err != nil {
		return nil, fmt.Errorf("making a client for %s: %w", name, err)
	}
	kubeconfig, err := r.Kubeconfig(cfg, namespace)
	if err != nil {
		return nil, err
	}
	return &Person{Name: name, Namespace: namespace, Config: cfg, Client: c, Kubeconfig: kubeconfig, rig: r}, nil
}

// Kubectl runs kubectl as the person.
func (p *Person) Kubectl(ctx context.Context, stdin string, args ...string) lab.Result {
	var in io.Reader
	if stdin != "" {
		in = strings.NewReader(stdin)
	}
	return p.rig.Kubectl(ctx, p.Kubeconfig, in, args...)
}

// Onboard gives a user a namespace of their own, as an administrator does with
// the plugin, and returns when values can be sealed for it.
func (r *Rig) Onboard(ctx context.Context, user, namespace string) (*Person, error) {
	result := r.Kubectl(ctx, r.AdminKubeconfig, nil, "usersecret", "onboard", user, "--namespace", namespace, "--apply")
	if err := result.Err(); err != nil {
		return nil, fmt.Errorf("onboarding %s: %w", user, err)
	}
	if err := r.AwaitSealingKey(ctx, namespace); err != nil {
		return nil, err
	}
	if err := r.awaitServiceAccount(ctx, namespace); err != nil {
		return nil, err
	}
	return r.Person(user, namespace)
}

// AwaitSealingKey returns when a namespace's public key is published.
func (r *Rig) AwaitSealingKey(ctx context.Context, namespace string) error {
	return lab.Await(ctx, "the sealing key of namespace "+namespace, func(ctx context.Context) (bool, error) {
		err := r.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: v1alpha1.SealingKeyName}, &v1alpha1.SealingKey{})
		return err == nil, client.IgnoreNotFound(err)
	})
}

// awaitServiceAccount returns when pods can be created in a namespace.
func (r *Rig) awaitServiceAccount(ctx context.Context, namespace string) error {
	return lab.Await(ctx, "the default ServiceAccount of namespace "+namespace, func(ctx context.Context) (bool, error) {
		err := r.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "default"}, &corev1.ServiceAccount{})
		return err == nil, client.IgnoreNotFound(err)
	})
}
