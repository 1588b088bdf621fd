package main

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/lab"
)

// bobTries tries each way that somebody might think of first.
func (d *demo) bobTries(ctx context.Context) error {
	for _, try := range []func(context.Context) error{d.bobReads, d.bobReplays, d.bobNames, d.bobAsks} {
		if err := try(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) bobReads(ctx context.Context) error {
	d.out.note("he reads alice's UserSecret")
	if err := d.refused(ctx, d.bob, "", []string{"forbidden"}, "get", "usersecret", "openai", "-n", "alice"); err != nil {
		return err
	}
	d.out.note("he reads the Secret that alice's pod got")
	return d.refused(ctx, d.bob, "", []string{"forbidden"}, "get", "secret", d.pod.Annotations[v1alpha1.ProjectionAnnotation], "-n", "alice")
}

// bobReplays has alice's ciphertext, which may lie in any git repository.
func (d *demo) bobReplays(ctx context.Context) error {
	us := &v1alpha1.UserSecret{}
	if err := d.rig.Client.Get(ctx, types.NamespacedName{Namespace: "alice", Name: "openai"}, us); err != nil {
		return err
	}
	d.out.note("he found alice's ciphertext in git, and applies it in his own namespace")
	manifest := strings.NewReplacer("name: slack", "name: openai", "namespace: alice", "namespace: bob",
		"provider: slack", "provider: openai", "type: oauth_token", "type: api_key",
		"value: "+d.slack, "encryptedValue: "+us.Spec.EncryptedValue).Replace(d.slackManifest())
	return d.refused(ctx, d.bob, manifest, []string{"does not open here"}, "apply", "-f", "-")
}

// bobNames has a pod of his name the Secret of alice's pod.
func (d *demo) bobNames(ctx context.Context) error {
	d.out.note("he has a pod of his own name the Secret of alice's pod")
	manifest := fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata:
  name: mine
  namespace: bob
spec:
  containers:
  - name: main
    image: example.invalid/step
    env:
    - name: OPENAI_API_KEY
      valueFrom:
        secretKeyRef:
          name: %s
          key: OPENAI_API_KEY
`, d.pod.Annotations[v1alpha1.ProjectionAnnotation])
	return d.refused(ctx, d.bob, manifest, []string{"usersecrets-pod-secret-names"}, "apply", "-f", "-")
}

func (d *demo) bobAsks(ctx context.Context) error {
	d.out.note("he asks for a key the regular way, and waits for one of his own")
	manifest := strings.NewReplacer("namespace: alice", "namespace: bob").Replace(stepPod)
	result, err := d.as(ctx, d.bob, manifest, "apply", "-f", "-")
	if err != nil {
		return err
	}
	if !strings.Contains(result.Stderr, "no such UserSecret yet") {
		return fmt.Errorf("bob was not told that he has no such key")
	}
	return nil
}

func (d *demo) deactivate(ctx context.Context) error {
	if _, err := d.as(ctx, d.alice, "", "patch", "usersecret", "openai", "--type", "merge", "-p", `{"spec":{"active":false}}`); err != nil {
		return err
	}
	secret, err := d.awaitProjection(ctx)
	if err != nil {
		return err
	}
	if err := lab.Await(ctx, "the projection to be emptied", func(ctx context.Context) (bool, error) {
		err := d.rig.Client.Get(ctx, client.ObjectKeyFromObject(secret), secret)
		return len(secret.Data) == 0, err
	}); err != nil {
		return err
	}
	d.out.note("the projection is still there, and empty")
	_, err = d.as(ctx, d.alice, "", "patch", "usersecret", "openai", "--type", "merge", "-p", `{"spec":{"active":true}}`)
	if err != nil {
		return err
	}
	return lab.Await(ctx, "the value to be back", func(ctx context.Context) (bool, error) {
		secret = &corev1.Secret{}
		err := d.rig.Client.Get(ctx, types.NamespacedName{Namespace: "alice", Name: d.pod.Annotations[v1alpha1.ProjectionAnnotation]}, secret)
		return string(secret.Data["OPENAI_API_KEY"]) == d.openAI, err
	})
}

// endPod reports the pod's end as its kubelet would: this control plane has no node.
func (d *demo) endPod(ctx context.Context) error {
	if err := d.rig.Client.Get(ctx, client.ObjectKeyFromObject(d.pod), d.pod); err != nil {
		return err
	}
	d.pod.Status.Phase = corev1.PodSucceeded
	if err := d.rig.Client.Status().Update(ctx, d.pod); err != nil {
		return err
	}
	d.out.note("pod %s: %s", d.pod.Name, d.pod.Status.Phase)
	key := types.NamespacedName{Namespace: "alice", Name: d.pod.Annotations[v1alpha1.ProjectionAnnotation]}
	if err := lab.Await(ctx, "the projection to be gone", func(ctx context.Context) (bool, error) {
		err := d.rig.Client.Get(ctx, key, &corev1.Secret{})
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	}); err != nil {
		return err
	}
	d.out.note("Secret %s: gone", key.Name)
	return d.storedNowhere(ctx, d.openAI)
}
