package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

var errServedFirst = errors.New("the Secret existed before its use was recorded")

// history is what came of alice's UserSecrets and Secrets, version by version.
type history struct{ userSecrets, secrets watch.Interface }

// watchAlice begins with what is there. Whoever asks stops it.
func (d *demo) watchAlice(ctx context.Context) (*history, error) {
	c, err := client.NewWithWatch(d.rig.Admin(), client.Options{Scheme: d.rig.Client.Scheme()})
	if err != nil {
		return nil, fmt.Errorf("making a client that watches: %w", err)
	}
	h := &history{}
	if h.userSecrets, err = c.Watch(ctx, &v1alpha1.UserSecretList{}, client.InNamespace("alice")); err != nil {
		return nil, fmt.Errorf("watching UserSecrets: %w", err)
	}
	if h.secrets, err = c.Watch(ctx, &corev1.SecretList{}, client.InNamespace("alice")); err != nil {
		h.userSecrets.Stop()
		return nil, fmt.Errorf("watching Secrets: %w", err)
	}
	return h, nil
}

func (h *history) stop() {
	h.userSecrets.Stop()
	h.secrets.Stop()
}

// recordedFirst fails unless the first version of a UserSecret that names the
// pod is older than the first version of the pod's Secret.
func (h *history) recordedFirst(ctx context.Context, pod *corev1.Pod) error {
	record, err := first(ctx, "the record of the use", h.userSecrets, func(o client.Object) bool {
		us, ok := o.(*v1alpha1.UserSecret)
		return ok && records(us, pod)
	})
	if err != nil {
		return err
	}
	secret, err := first(ctx, "the projection", h.secrets, func(o client.Object) bool {
		return o.GetName() == pod.Annotations[v1alpha1.ProjectionAnnotation]
	})
	if err != nil {
		return err
	}
	return inOrder(record.GetResourceVersion(), secret.GetResourceVersion())
}

func records(us *v1alpha1.UserSecret, pod *corev1.Pod) bool {
	for _, access := range us.Status.RecentAccesses {
		if access.PodUID == string(pod.UID) {
			return true
		}
	}
	return false
}

// first is the first version that is wanted.
func first(ctx context.Context, what string, versions watch.Interface, wanted func(client.Object) bool) (client.Object, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("watching for %s: %w", what, ctx.Err())
		case event, open := <-versions.ResultChan():
			if !open || event.Type == watch.Error {
				return nil, fmt.Errorf("watching for %s: the watch ended", what)
			}
			if object, ok := event.Object.(client.Object); ok && wanted(object) {
				return object, nil
			}
		}
	}
}

// inOrder compares two resourceVersions as numbers. Of objects of two kinds that
// is sound here and not in every cluster: this API server keeps all kinds in one
// etcd, a resourceVersion is the etcd revision of the write, and an etcd has one
// counter of revisions, which every write raises.
func inOrder(record, secret string) error {
	recorded, err := strconv.ParseUint(record, 10, 64)
	if err != nil {
		return fmt.Errorf("reading the record's resourceVersion: %w", err)
	}
	issued, err := strconv.ParseUint(secret, 10, 64)
	if err != nil {
		return fmt.Errorf("reading the Secret's resourceVersion: %w", err)
	}
	if recorded >= issued {
		return fmt.Errorf("%w: it was written at revision %d, the record at %d", errServedFirst, issued, recorded)
	}
	return nil
}
