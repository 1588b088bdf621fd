package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/lab"
	"usersecrets.dev/operator/test/rig"
)

// demo holds what the steps hand on to each other. The values are made anew in
// every run, so that finding one means finding this run's.
type demo struct {
	out      *printer
	rig      *rig.Rig
	forecast *forecast

	alice, bob, workflows, gitops *rig.Person
	openAI, slack                 string
	pod                           *corev1.Pod
}

// as runs kubectl as somebody, shows both, and fails unless it ends as wanted.
func (d *demo) as(ctx context.Context, who *rig.Person, stdin string, args ...string) (lab.Result, error) {
	d.out.command(who.Name, "kubectl "+strings.Join(args, " "))
	result := who.Kubectl(ctx, stdin, args...)
	d.out.output(result.Stdout + result.Stderr)
	return result, result.Err()
}

// refused runs kubectl, which must fail with every one of the texts and without
// repeating a value.
func (d *demo) refused(ctx context.Context, who *rig.Person, stdin string, texts []string, args ...string) error {
	result, err := d.as(ctx, who, stdin, args...)
	if err == nil {
		return fmt.Errorf("it was not refused")
	}
	for _, text := range texts {
		if !strings.Contains(result.Stderr, text) {
			return fmt.Errorf("the refusal does not say %q", text)
		}
	}
	for _, value := range []string{d.openAI, d.slack, d.forecast.key} {
		if strings.Contains(result.Stderr, value) {
			return fmt.Errorf("the refusal repeats a value")
		}
	}
	return nil
}

func (d *demo) onboard(ctx context.Context) error {
	d.openAI, d.slack = "sk-proj-"+rand.Text(), "xoxb-"+strings.ToLower(rand.Text())
	var err error
	for _, user := range []struct {
		name   string
		person **rig.Person
	}{{"alice", &d.alice}, {"bob", &d.bob}} {
		d.out.command("admin", "kubectl usersecret onboard "+user.name+" --apply")
		if *user.person, err = d.rig.Onboard(ctx, user.name, user.name); err != nil {
			return err
		}
	}
	if err := d.engines(ctx); err != nil {
		return err
	}
	_, err = d.as(ctx, d.alice, "", "get", "sealingkey")
	return err
}

// engines are a workflow engine that makes pods in users' namespaces, and a
// GitOps controller that applies manifests there.
func (d *demo) engines(ctx context.Context) error {
	admin := func(args ...string) error {
		return d.rig.Kubectl(ctx, d.rig.AdminKubeconfig, nil, args...).Err()
	}
	for _, args := range [][]string{
		{"create", "namespace", "platform"},
		{"create", "serviceaccount", "workflows", "-n", "platform"},
		{"create", "serviceaccount", "gitops", "-n", "platform"},
		{"create", "rolebinding", "workflows", "-n", "alice", "--clusterrole", "edit", "--serviceaccount", "platform:workflows"},
		{"create", "rolebinding", "gitops", "-n", "alice", "--clusterrole", "usersecret-delegate", "--serviceaccount", "platform:gitops"},
		{"create", "rolebinding", "bob-pods", "-n", "bob", "--clusterrole", "edit", "--user", "bob"},
	} {
		if err := admin(args...); err != nil {
			return fmt.Errorf("kubectl %s: %w", strings.Join(args, " "), err)
		}
	}
	var err error
	if d.workflows, err = d.rig.ServiceAccountPerson(ctx, "platform", "workflows"); err != nil {
		return err
	}
	d.gitops, err = d.rig.ServiceAccountPerson(ctx, "platform", "gitops")
	return err
}

func (d *demo) createSealed(ctx context.Context) error {
	d.out.note("the key comes in on standard input, as from a password manager")
	if _, err := d.as(ctx, d.alice, d.openAI, "usersecret", "create", "openai", "--provider", "openai", "--from-file", "-", "--display-name", "My OpenAI key"); err != nil {
		return err
	}
	if err := d.awaitReady(ctx, "openai"); err != nil {
		return err
	}
	result, err := d.as(ctx, d.alice, "", "get", "usersecret", "openai")
	if err != nil {
		return err
	}
	if last4 := d.openAI[len(d.openAI)-4:]; !strings.Contains(result.Stdout, last4) || strings.Contains(result.Stdout, d.openAI) {
		return fmt.Errorf("the value is not masked to its last 4 characters")
	}
	return d.storedNowhere(ctx, d.openAI)
}

func (d *demo) applyPlaintext(ctx context.Context) error {
	manifest := d.slackManifest()
	d.out.output(manifest)
	if _, err := d.as(ctx, d.alice, manifest, "apply", "-f", "-"); err != nil {
		return err
	}
	result, err := d.as(ctx, d.alice, "", "get", "usersecret", "slack", "-o", "jsonpath={.spec}{'\\n'}{.metadata.annotations}")
	if err != nil {
		return err
	}
	if strings.Contains(result.Stdout, d.slack) || !strings.Contains(result.Stdout, "us1.") {
		return fmt.Errorf("the stored form is not sealed")
	}
	return d.storedNowhere(ctx, d.slack)
}

func (d *demo) slackManifest() string {
	return `apiVersion: usersecrets.dev/v1alpha1
kind: UserSecret
metadata:
  name: slack
  namespace: alice
spec:
  provider: slack
  type: oauth_token
  value: ` + d.slack + "\n"
}

func (d *demo) refusePlaintext(ctx context.Context) error {
	manifest := strings.Replace(d.slackManifest(), "name: slack", "name: other", 1)
	return d.refused(ctx, d.gitops, manifest, []string{"accepted from the namespace's owner alone", "kubectl usersecret seal"}, "apply", "-f", "-")
}

const stepPod = `apiVersion: v1
kind: Pod
metadata:
  name: summarise-2371
  namespace: alice
  labels:
    workflows.argoproj.io/workflow: nightly-report
  annotations:
    workflows.argoproj.io/node-name: nightly-report.summarise
    usersecrets.dev/inject: openai
spec:
  containers:
  - name: main
    image: example.invalid/step
`

func (d *demo) runPod(ctx context.Context) error {
	history, err := d.watchAlice(ctx)
	if err != nil {
		return err
	}
	defer history.stop()
	d.out.output(stepPod)
	if _, err := d.as(ctx, d.workflows, stepPod, "apply", "-f", "-"); err != nil {
		return err
	}
	d.pod = &corev1.Pod{}
	if err := d.rig.Client.Get(ctx, types.NamespacedName{Namespace: "alice", Name: "summarise-2371"}, d.pod); err != nil {
		return err
	}
	secret, err := d.awaitProjection(ctx)
	if err != nil {
		return err
	}
	d.out.note("the projection, as an administrator sees it:")
	d.out.output(fmt.Sprintf("name:   %s\ntype:   %s\nowner:  Pod %s (%s)\nkeys:   OPENAI_API_KEY, %d bytes, mounted at %s",
		secret.Name, secret.Type, secret.OwnerReferences[0].Name, secret.OwnerReferences[0].UID, len(secret.Data["OPENAI_API_KEY"]), v1alpha1.DefaultMountPath))
	if !bytes.Equal(secret.Data["OPENAI_API_KEY"], []byte(d.openAI)) {
		return fmt.Errorf("the projection does not hold alice's key")
	}
	us := &v1alpha1.UserSecret{}
	if err := d.rig.Client.Get(ctx, types.NamespacedName{Namespace: "alice", Name: "openai"}, us); err != nil {
		return err
	}
	if us.Status.Usage == nil || us.Status.Usage.Count != 1 || !records(us, d.pod) {
		return fmt.Errorf("the use is not recorded")
	}
	return history.recordedFirst(ctx, d.pod)
}

func (d *demo) awaitProjection(ctx context.Context) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	key := types.NamespacedName{Namespace: "alice", Name: d.pod.Annotations[v1alpha1.ProjectionAnnotation]}
	return secret, lab.Await(ctx, "the projection", func(ctx context.Context) (bool, error) {
		err := d.rig.Client.Get(ctx, key, secret)
		return err == nil, client.IgnoreNotFound(err)
	})
}

func (d *demo) awaitReady(ctx context.Context, name string) error {
	return lab.Await(ctx, "UserSecret "+name+" to be ready", func(ctx context.Context) (bool, error) {
		us := &v1alpha1.UserSecret{}
		err := d.rig.Client.Get(ctx, types.NamespacedName{Namespace: "alice", Name: name}, us)
		return err == nil && us.Status.Masked != "", client.IgnoreNotFound(err)
	})
}

func (d *demo) describe(ctx context.Context) error {
	var result lab.Result
	err := lab.Await(ctx, "the Event of the use", func(ctx context.Context) (bool, error) {
		result = d.alice.Kubectl(ctx, "", "describe", "usersecret", "openai")
		return strings.Contains(result.Stdout, "Used by pod summarise-2371"), result.Err()
	})
	if err != nil {
		return err
	}
	_, err = d.as(ctx, d.alice, "", "describe", "usersecret", "openai")
	return err
}

// storedNowhere fails where etcd holds the value, in the clear or in base64.
func (d *demo) storedNowhere(ctx context.Context, value string) error {
	dump, err := d.rig.DumpEtcd(ctx)
	if err != nil {
		return err
	}
	for key, stored := range dump {
		for _, form := range []string{value, base64.StdEncoding.EncodeToString([]byte(value))} {
			if bytes.Contains(stored, []byte(form)) {
				return fmt.Errorf("etcd holds the plaintext at %s", key)
			}
		}
	}
	d.out.note("searched all %d keys of etcd for the plaintext: not there", len(dump))
	return nil
}
