package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/test/lab"
	"usersecrets.dev/operator/test/rig"
)

// bed is the product on a control plane, with what the floors need beside it.
type bed struct {
	*rig.Rig
	settings *settings
	// floor is the floors' own identity: a ServiceAccount, as the operator's is,
	// so that authentication and the API server's queues cost the same.
	floor *rest.Config
	// pprof is where the operator serves profiles; empty where nobody asked.
	pprof string
	// webhooksOff says that our webhook configurations are away.
	webhooksOff bool
}

const (
	floorGroup     = "bench.usersecrets.dev"
	floorNamespace = "bench"
	floorAccount   = "floor"
)

// startBed starts everything; the caller stops it.
func startBed(ctx context.Context, s *settings) (*bed, error) {
	b := &bed{settings: s}
	// The rig shortens the Lease for tests that wait for its end.
	options := rig.Options{Say: say, Verification: true, OperatorArgs: []string{"--lease-duration=15s"}}
	if s.profiles != "" {
		port, err := lab.FreePort()
		if err != nil {
			return nil, err
		}
		b.pprof = fmt.Sprintf("127.0.0.1:%d", port)
		options.OperatorArgs = append(options.OperatorArgs, "--pprof-bind-address="+b.pprof)
	}
	var err error
	if b.Rig, err = rig.Start(ctx, options); err != nil {
		return nil, err
	}
	if err := b.installFloor(ctx); err != nil {
		return nil, errors.Join(err, b.Stop())
	}
	return b, nil
}

// installFloor gives the floors their identity and their kind: the UserSecret
// under another name, with the same schema, which no webhook or policy of ours knows.
func (b *bed) installFloor(ctx context.Context) error {
	definitions, err := lab.ReadManifests([]string{filepath.Join(b.ProjectFile("config"), "crd", "bases", "usersecrets.dev_usersecrets.yaml")}, asFloor)
	if err != nil {
		return err
	}
	if err := b.ApplyObjects(ctx, definitions...); err != nil {
		return err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: floorNamespace, Name: floorAccount}}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: floorNamespace}},
		account,
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "bench-floor"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: account.Namespace, Name: account.Name}},
		},
	} {
		if err := b.Client.Create(ctx, object); err != nil {
			return fmt.Errorf("preparing the floors: %w", err)
		}
	}
	b.floor, err = b.ServiceAccountConfig(ctx, floorNamespace, floorAccount)
	return err
}

func asFloor(definition *unstructured.Unstructured) error {
	definition.SetName("floors." + floorGroup)
	names := map[string]any{"kind": "Floor", "listKind": "FloorList", "plural": "floors", "singular": "floor"}
	return errors.Join(
		unstructured.SetNestedField(definition.Object, floorGroup, "spec", "group"),
		unstructured.SetNestedMap(definition.Object, names, "spec", "names"),
	)
}

// inParallel calls work for 0 to n-1, several at once, and returns the first error.
func inParallel(n, workers int, work func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wait sync.WaitGroup
	for range min(n, workers) {
		wait.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := work(i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wait.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}
