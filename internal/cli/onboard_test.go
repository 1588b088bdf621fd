package cli

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

const aliceManifests = `apiVersion: v1
kind: Namespace
metadata:
  annotations:
    usersecrets.dev/owner: alice
  name: alice
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: usersecret-owner
  namespace: alice
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: usersecret-owner
subjects:
- apiGroup: rbac.authorization.k8s.io
  kind: User
  name: alice
`

const builderManifests = `apiVersion: v1
kind: Namespace
metadata:
  annotations:
    owner: system:serviceaccount:ci:builder
  name: builds
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: usersecret-owner
  namespace: builds
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: usersecret-owner
subjects:
- kind: ServiceAccount
  name: builder
  namespace: ci
`

// Printing calls no cluster.
func TestOnboardPrints(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"a user":                    {[]string{"alice"}, aliceManifests},
		"a user, as client dry run": {[]string{"alice", "--dry-run=client"}, aliceManifests},
		"a service account":         {[]string{"system:serviceaccount:ci:builder", "-n", "builds", "--owner-annotation=owner"}, builderManifests},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := newOfflineFixture(t).run(append([]string{"onboard"}, tt.args...)...)
			if diff := cmp.Diff(outcome{Out: tt.want}, got); diff != "" {
				t.Errorf("the manifests (-want +got):\n%s", diff)
			}
		})
	}
}

func namespace(name string, annotations map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations}}
}

func ownedBy(user string) map[string]string { return map[string]string{"usersecrets.dev/owner": user} }

func TestOnboardApplies(t *testing.T) {
	binding := "rolebinding.rbac.authorization.k8s.io/usersecret-owner"
	tests := map[string]struct {
		before *corev1.Namespace
		args   []string
		want   outcome
		// wantOwner and wantBound are what is there afterwards.
		wantOwner string
		wantBound bool
	}{
		"new": {
			want:      outcome{Out: "namespace/alice created\n" + binding + " serverside-applied\n"},
			wantOwner: "alice", wantBound: true,
		},
		"her own already": {
			before:    namespace("alice", ownedBy("alice")),
			want:      outcome{Out: "namespace/alice unchanged\n" + binding + " serverside-applied\n"},
			wantOwner: "alice", wantBound: true,
		},
		"another's": {
			before:    namespace("alice", ownedBy("bob")),
			want:      outcome{Code: 1, ErrOut: "error: namespace \"alice\" has another owner: a namespace belongs to one user; name another with --namespace\n"},
			wantOwner: "bob",
		},
		"another's, by name": {
			before: namespace("alice", ownedBy("bob")), args: []string{"-n", "alice"},
			want:      outcome{Code: 1, ErrOut: "error: namespace \"alice\" has another owner: a namespace belongs to one user; name another with --namespace\n"},
			wantOwner: "bob",
		},
		"nobody's": {
			before: namespace("alice", nil),
			want:   outcome{Code: 1, ErrOut: "error: namespace \"alice\" exists already and has no owner: to give it to this user with all that is in it, name it with --namespace\n"},
		},
		"nobody's, by name": {
			before: namespace("alice", map[string]string{"team": "a"}), args: []string{"-n", "alice"},
			want:      outcome{Out: "namespace/alice serverside-applied\n" + binding + " serverside-applied\n"},
			wantOwner: "alice", wantBound: true,
		},
		"client dry run": {
			args: []string{"--dry-run=client"},
			want: outcome{Out: "namespace/alice created (dry run)\n" + binding + " serverside-applied (dry run)\n"},
		},
		"server dry run": {
			args: []string{"--dry-run=server"},
			want: outcome{
				Out:    "namespace/alice created (server dry run)\n",
				ErrOut: "notice: the RoleBinding is not checked, for its namespace alice does not exist yet\n",
			},
		},
		"client dry run, nobody's": {
			before: namespace("alice", nil), args: []string{"-n", "alice", "--dry-run=client"},
			want: outcome{Out: "namespace/alice serverside-applied (dry run)\n" + binding + " serverside-applied (dry run)\n"},
		},
		"names alone": {
			args: []string{"-o", "name"}, want: outcome{Out: "namespace/alice\n" + binding + "\n"},
			wantOwner: "alice", wantBound: true,
		},
		"manifests": {
			args: []string{"-o", "yaml"}, want: outcome{Out: aliceManifests},
			wantOwner: "alice", wantBound: true,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			if tt.before != nil {
				f = newFixture(t, tt.before)
			}
			if diff := cmp.Diff(tt.want, f.run(append([]string{"onboard", "alice", "--apply"}, tt.args...)...)); diff != "" {
				t.Errorf("onboarding (-want +got):\n%s", diff)
			}
			if owner, bound := f.onboarded("alice"); owner != tt.wantOwner || bound != tt.wantBound {
				t.Errorf("afterwards: got owner %q, bound %t; want owner %q, bound %t", owner, bound, tt.wantOwner, tt.wantBound)
			}
		})
	}
}

// onboarded says who owns a namespace and whether the role is bound in it.
func (f *fixture) onboarded(name string) (owner string, bound bool) {
	f.t.Helper()
	ns, binding := &corev1.Namespace{}, &rbacv1.RoleBinding{}
	if err := f.api.Get(context.Background(), types.NamespacedName{Name: name}, ns); client.IgnoreNotFound(err) != nil {
		f.t.Fatal(err)
	}
	err := f.api.Get(context.Background(), types.NamespacedName{Namespace: name, Name: "usersecret-owner"}, binding)
	if client.IgnoreNotFound(err) != nil {
		f.t.Fatal(err)
	}
	return ns.Annotations["usersecrets.dev/owner"], err == nil
}

func TestOnboardWritesAsThePlugin(t *testing.T) {
	f := newFixture(t)
	f.run("onboard", "alice", "--apply")
	binding := &rbacv1.RoleBinding{}
	if err := f.api.Get(context.Background(), types.NamespacedName{Namespace: "alice", Name: "usersecret-owner"}, binding); err != nil {
		t.Fatal(err)
	}
	if len(binding.ManagedFields) != 1 || binding.ManagedFields[0].Manager != "kubectl-usersecret" || binding.ManagedFields[0].Operation != metav1.ManagedFieldsOperationApply {
		t.Errorf("managed fields: got %+v, want those of one apply by kubectl-usersecret", binding.ManagedFields)
	}
}

// The fake API server stores what is applied as a dry run, so the request is
// what is looked at.
func TestOnboardServerDryRun(t *testing.T) {
	tests := map[string]struct {
		args       []string
		before     map[string]string
		wantDryRun [][]string
		wantOut    string
	}{
		"dry": {
			args: []string{"--dry-run=server", "-n", "alice"}, wantDryRun: [][]string{{"All"}, {"All"}},
			wantOut: "namespace/alice serverside-applied (server dry run)\nrolebinding.rbac.authorization.k8s.io/usersecret-owner serverside-applied (server dry run)\n",
		},
		"dry, her own": {
			args: []string{"--dry-run=server"}, before: ownedBy("alice"), wantDryRun: [][]string{{"All"}},
			wantOut: "namespace/alice unchanged (server dry run)\nrolebinding.rbac.authorization.k8s.io/usersecret-owner serverside-applied (server dry run)\n",
		},
		"in earnest": {
			args: []string{"-n", "alice"}, wantDryRun: [][]string{nil, nil},
			wantOut: "namespace/alice serverside-applied\nrolebinding.rbac.authorization.k8s.io/usersecret-owner serverside-applied\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var dryRun [][]string
			f := newFixtureWith(t, interceptor.Funcs{Apply: func(_ context.Context, _ client.WithWatch, _ runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
				options := client.ApplyOptions{}
				options.ApplyOptions(opts)
				dryRun = append(dryRun, options.DryRun)
				return nil
			}}, namespace("alice", tt.before))
			if diff := cmp.Diff(outcome{Out: tt.wantOut}, f.run(append([]string{"onboard", "alice", "--apply"}, tt.args...)...)); diff != "" {
				t.Errorf("onboarding (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.wantDryRun, dryRun); diff != "" {
				t.Errorf("the requests (-want +got):\n%s", diff)
			}
		})
	}
}

// Nothing is forced, and what was done before a failure is told.
func TestOnboardConflict(t *testing.T) {
	var forced bool
	conflict := apierrors.NewApplyConflict(nil, `Apply failed with 1 conflict: conflict with "argocd": .subjects`)
	f := newFixtureWith(t, interceptor.Funcs{Apply: func(_ context.Context, _ client.WithWatch, _ runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
		options := client.ApplyOptions{}
		options.ApplyOptions(opts)
		forced = options.Force != nil && *options.Force
		return conflict
	}}, namespace("alice", ownedBy("alice")))
	want := outcome{
		Code: 1, Out: "namespace/alice unchanged\n",
		ErrOut: `error: applying RoleBinding "usersecret-owner": somebody else manages it: change it there, or delete it and try again (Apply failed with 1 conflict: conflict with "argocd": .subjects)` + "\n",
	}
	if diff := cmp.Diff(want, f.run("onboard", "alice", "--apply")); diff != "" || forced {
		t.Errorf("a conflict: forced %t (-want +got):\n%s", forced, diff)
	}
}

func TestOnboardIntoAnEndingNamespace(t *testing.T) {
	ending := namespace("alice", ownedBy("alice"))
	ending.DeletionTimestamp, ending.Finalizers = &metav1.Time{Time: now}, []string{"example.com/held"}
	wantRefusal(t, newFixture(t, ending).run("onboard", "alice", "--apply"), `namespace "alice" is being deleted: wait for its end, or name another with --namespace`)
}

func TestOnboardFailures(t *testing.T) {
	broken := errors.New("broken")
	tests := map[string]struct {
		funcs interceptor.Funcs
		args  []string
		want  string
	}{
		"reading": {
			funcs: interceptor.Funcs{Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
				return broken
			}},
			want: `reading namespace "alice": broken`,
		},
		"creating": {
			funcs: interceptor.Funcs{Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return broken }},
			want:  `creating namespace "alice": broken`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, newFixtureWith(t, tt.funcs).run("onboard", "alice", "--apply"), tt.want)
		})
	}
}

func TestOnboardRefusals(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"no user":               {nil, "USER is missing: give the username as the cluster knows it; 'kubectl auth whoami' tells you yours"},
		"two users":             {[]string{"alice", "bob"}, "one USER at a time: a username with spaces goes in quotation marks"},
		"nobody":                {[]string{"system:anonymous"}, "USER is everybody who has not logged in, and nobody's namespace may be theirs: give a user's own name"},
		"half an account":       {[]string{"system:serviceaccount:ci"}, "USER is no service account: its username is system:serviceaccount:NAMESPACE:NAME"},
		"empty":                 {[]string{""}, "USER is no username: it is empty, or starts or ends with a space"},
		"no name to derive":     {[]string{"@"}, "no namespace can be named after USER: give one with --namespace"},
		"bad namespace":         {[]string{"alice", "-n", "Alice"}, "--namespace is no valid name: use lower case letters, digits and '-', start and end with a letter or digit, and at most 63 characters"},
		"the cluster's":         {[]string{"kube-system"}, `namespace "kube-system" belongs to the cluster itself, and to no user: name another with --namespace`},
		"the operator's":        {[]string{"alice", "-n", "usersecrets-system"}, `namespace "usersecrets-system" belongs to the cluster itself, and to no user: name another with --namespace`},
		"everybody's":           {[]string{"Default"}, `namespace "default" belongs to the cluster itself, and to no user: name another with --namespace`},
		"bad annotation":        {[]string{"alice", "--owner-annotation=a/b/c"}, "--owner-annotation is no annotation key: it is like example.com/owner"},
		"dry run of nothing":    {[]string{"alice", "--dry-run=server"}, "--dry-run=server checks what --apply would do: add --apply"},
		"unknown dry run":       {[]string{"alice", "--dry-run=maybe"}, "--dry-run is one of none, client, server"},
		"names of nothing done": {[]string{"alice", "-o", "name"}, "--output=name says what was applied: add --apply, or leave it out to see the manifests"},
		"unknown format":        {[]string{"alice", "-o", "xml"}, "unknown output format: --output is one of json, yaml, kyaml, name"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, newOfflineFixture(t).run(append([]string{"onboard"}, tt.args...)...), tt.want)
		})
	}
}
