package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/api/v1alpha1"
)

func TestInjectRefuses(t *testing.T) {
	const openaiIs = "annotation usersecrets.dev/inject, openai: "
	openai := makeSecret("openai")
	mounted := makePod("openai")
	mounted.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/var/run/usersecrets/mine"}}
	setting := makePod("openai", "inject-as", "env")
	setting.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "OPENAI_API_KEY", Value: canary}}
	silent := makePod("openai")
	silent.Annotations = nil
	fresh := func(c *cluster) userSecret { return openai.sealed(c.seal("openai", canary)) }
	tests := map[string]struct {
		pod     *corev1.Pod
		secrets func(c *cluster) []userSecret
		want    string
	}{
		"empty element":         {pod: makePod("openai,,custom"), want: "malformed annotation usersecrets.dev/inject: element 2 is empty: remove the extra comma"},
		"a value as an element": {pod: makePod(canary + "!"), want: `malformed annotation usersecrets.dev/inject: element 1: not a provider's name (lower case letters, digits and "-", at most 63): 'kubectl get secretproviders' lists them`},
		"no annotation":         {pod: silent, want: "the pod has no annotation usersecrets.dev/inject: name the secrets in it, or remove the Secret whose name starts with usersecret- from the spec"},
		"unknown provider":      {pod: makePod("opneai"), want: `annotation usersecrets.dev/inject, opneai: unknown provider "opneai": 'kubectl get secretproviders' lists the catalogue, and 'custom' takes anything`},
		"unknown type":          {pod: makePod("openai/custom"), want: `annotation usersecrets.dev/inject, openai/custom: unknown type "custom" for provider "openai": it has api_key`},
		"TTL over the limit":    {pod: makePod("openai", "ttl", "61m"), want: "malformed annotation usersecrets.dev/ttl: 1h1m0s is over this cluster's limit: give at most 1h0m0s"},
		"the same key twice":    {pod: makePod("openai, openai/api_key"), want: `the same key twice: openai and openai/api_key both go to OPENAI_API_KEY: give one of them another, as in "openai=OTHER_KEY"`},
		"colliding mount":       {pod: mounted, want: `colliding mount path: values would go to /var/run/usersecrets, and container "main" uses "/var/run/usersecrets/mine": choose another path with usersecrets.dev/mount-path, or leave the container out with usersecrets.dev/containers`},
		"colliding variable":    {pod: setting, want: `colliding environment variable: container "main" sets OPENAI_API_KEY itself, which would win over the secret: remove it, choose another key with "=KEY", or leave the container out with usersecrets.dev/containers`},
		"inactive": {pod: makePod("openai"), secrets: func(c *cluster) []userSecret { return []userSecret{fresh(c).active(false)} },
			want: openaiIs + `UserSecret is inactive: "openai"; its owner sets spec.active to true again`},
		"expired": {pod: makePod("openai"), secrets: func(c *cluster) []userSecret { return []userSecret{fresh(c).expires(0)} },
			want: openaiIs + `UserSecret has expired: "openai" at 2026-03-01T12:00:00Z; its owner stores a new value with a later expiresAt`},
		"ambiguous": {pod: makePod("custom"), secrets: func(*cluster) []userSecret {
			return []userSecret{makeSecret("a").of("custom", v1alpha1.TypeCustom), makeSecret("b").of("custom", v1alpha1.TypeCustom)}
		}, want: "annotation usersecrets.dev/inject, custom: several UserSecrets match: ask for one by name, as in name:a or name:b"},
		"not sealed": {pod: makePod("openai"), secrets: func(*cluster) []userSecret { return []userSecret{openai.sealed(canary)} },
			want: `UserSecret "openai": this is no sealed value: it does not start with "us1."; seal the value with "kubectl usersecret seal"`},
		"NUL as a variable": {pod: makePod("openai", "inject-as", "env"), secrets: func(c *cluster) []userSecret {
			return []userSecret{openai.sealed(c.seal("openai", canary+"\x00"))}
		}, want: `UserSecret "openai": value cannot be an environment variable: it holds a NUL byte: take it as a file, with usersecrets.dev/inject-as: "volume"`},
		"no text as a variable": {pod: makePod("openai", "inject-as", "env"), secrets: func(c *cluster) []userSecret {
			return []userSecret{openai.sealed(c.seal("openai", canary+"\xff"))}
		}, want: `UserSecret "openai": value cannot be an environment variable: it is not UTF-8 text: take it as a file, with usersecrets.dev/inject-as: "volume"`},
		"what does not open, as a variable": {pod: makePod("openai", "inject-as", "env"), secrets: func(c *cluster) []userSecret {
			return []userSecret{openai.sealed(c.seal("slack", canary))}
		}, want: `UserSecret "openai": the sealed value does not open here: it was sealed for another owner, namespace, name or key, or it was altered; seal the value again for this owner, namespace and name`},
		"over 1 MiB": {pod: makePod(names(16)), secrets: func(c *cluster) []userSecret { return large(c, 16) },
			want: "values too large: 1048576 bytes together, and at most 1048575 fit: ask for fewer secrets in one pod"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := makeCluster(t)
			if tt.secrets != nil {
				for _, us := range tt.secrets(c) {
					c.create(us.UserSecret)
				}
			}
			req := podRequest(t, "bob", tt.pod)
			c.checkPodRefused(req, c.injectPod(req), "alice", tt.want)
		})
	}
}

// names asks for n UserSecrets by name, each under a key of its own.
func names(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("name:large-%d=KEY_%d", i, i))
	}
	return strings.Join(list, ",")
}

// large are n UserSecrets of 64 KiB.
func large(c *cluster, n int) []userSecret {
	var secrets []userSecret
	for i := range n {
		name := fmt.Sprintf("large-%d", i)
		secrets = append(secrets, makeSecret(name).of("custom", v1alpha1.TypeCustom).sealed(c.seal(name, strings.Repeat("a", 64<<10))))
	}
	return secrets
}

func TestInjectNearlyOneMebibyte(t *testing.T) {
	c := makeCluster(t)
	for _, us := range large(c, 15) {
		c.create(us.UserSecret)
	}
	req := podRequest(t, "alice", makePod(names(15)))
	c.checkAllowed(req, c.injectPod(req))
}

func TestInjectWithoutAnOwner(t *testing.T) {
	c := makeCluster(t)
	req := podRequest(t, "bob", makePod("openai"))
	req.Namespace = "unowned"
	c.checkPodRefused(req, c.injectPod(req), "", `namespace has no owner: "unowned" carries no annotation usersecrets.dev/owner; an administrator sets it with 'kubectl usersecret onboard'`)
}

func TestInjectFailures(t *testing.T) {
	down := errors.New("the API server is down")
	tests := map[string]struct {
		fails func(object any) bool
		owner string
		want  string
	}{
		"namespace":    {fails: func(any) bool { return true }, want: `reading namespace "alice-flows": the API server is down`},
		"user secrets": {fails: func(o any) bool { _, ok := o.(*v1alpha1.UserSecretList); return ok }, owner: "alice", want: "listing UserSecrets: the API server is down"},
		"provider":     {fails: func(o any) bool { _, ok := o.(*v1alpha1.SecretProvider); return ok }, owner: "alice", want: `annotation usersecrets.dev/inject, openai: reading provider "openai": the API server is down`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := makeCluster(t)
			c.fail = func(_ string, object any) error {
				if tt.fails(object) {
					return down
				}
				return nil
			}
			req := podRequest(t, "alice", makePod("openai"))
			c.checkPodRefused(req, c.injectPod(req), tt.owner, tt.want)
		})
	}
}

func TestInjectMalformedRequest(t *testing.T) {
	c := makeCluster(t)
	req := podRequest(t, "alice", struct{}{})
	req.Object.Raw = []byte(`{"spec":"` + canary + `"}`)
	resp := complete(t, req, c.injectPod(req))
	if resp.Allowed || resp.Result.Code != http.StatusBadRequest || resp.Result.Message != "the object is no Pod" {
		t.Errorf("allowed %t, result %v", resp.Allowed, resp.Result)
	}
}

func TestInjectDryRun(t *testing.T) {
	c := makeCluster(t)
	dry := true
	for _, ask := range []string{"openai", "opneai"} {
		req := podRequest(t, "alice", makePod(ask))
		req.DryRun = &dry
		if resp := c.injectPod(req); resp.Allowed != (ask == "openai") {
			t.Errorf("%s: allowed %t", ask, resp.Allowed)
		}
	}
	c.checkRecorded()
}
