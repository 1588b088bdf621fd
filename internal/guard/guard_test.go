package guard

import (
	"context"
	"errors"
	"slices"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

type binding = admissionregistrationv1.ValidatingAdmissionPolicyBinding

func bindingOf(name string) *binding {
	return &binding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	}
}

// cluster is what an API server holds and how it answers the probe.
type cluster struct {
	policies map[string]*policy
	bindings map[string]*binding
	// probe answers the creation of a Secret in a namespace.
	probe  func(namespace string) error
	probes []string
}

// installed is a cluster with everything in place, as the API server stores it, for an operator that goes by what is given.
func installed(goesBy Installation) *cluster {
	c := &cluster{policies: map[string]*policy{}, bindings: map[string]*binding{}, probe: refusedBy(probed)}
	for _, ships := range shipped() {
		stored := &policy{ObjectMeta: metav1.ObjectMeta{Name: ships.Name}, Spec: *goesBy.instead(essence(&ships.Spec))}
		c.policies[ships.Name], c.bindings[ships.Name] = stored, bindingOf(ships.Name)
	}
	return c
}

func refusedBy(policy string) func(string) error {
	return func(string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "not-a-projection",
			errors.New("ValidatingAdmissionPolicy '"+policy+"' with binding '"+policy+"' denied request: no"))
	}
}

func (c *cluster) client() client.Client {
	builder := fake.NewClientBuilder().WithScheme(scheme.Scheme)
	for _, p := range c.policies {
		builder = builder.WithObjects(p)
	}
	for _, b := range c.bindings {
		builder = builder.WithObjects(b)
	}
	return builder.WithInterceptorFuncs(interceptor.Funcs{
		Create: func(_ context.Context, _ client.WithWatch, object client.Object, options ...client.CreateOption) error {
			var given client.CreateOptions
			given.ApplyOptions(options)
			if secret, ok := object.(*corev1.Secret); !ok || !slices.Equal(given.DryRun, []string{metav1.DryRunAll}) || secret.Type != corev1.SecretTypeOpaque {
				return errors.New("the guard writes something")
			}
			c.probes = append(c.probes, object.GetNamespace())
			return c.probe(object.GetNamespace())
		},
	}).Build()
}

const (
	secretsPolicy = "usersecrets-operator-secrets"
	ownerPolicy   = "usersecrets-namespace-owner"
	weak          = "usersecrets-projections"

	notInPlace = "admission policies are not in place: "
	another    = notInPlace + `policy "usersecrets-projections" is not the one that this version ships, its `
	remedy     = " is another: apply this version's config/policy"
)

func onPolicy(f func(*policy)) func(*cluster) { return func(c *cluster) { f(c.policies[weak]) } }

func onBinding(f func(*admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec)) func(*cluster) {
	return func(c *cluster) { f(&c.bindings[weak].Spec) }
}

func TestLook(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*cluster)
		want   string // empty: all in place
	}{
		"all in place": {func(*cluster) {}, ""},
		"in an administrator's own words": {onPolicy(func(p *policy) {
			p.Spec.Validations[0].Message, p.Spec.Validations[0].Reason = "non", ptr.To(metav1.StatusReasonInvalid)
			p.Spec.AuditAnnotations = []admissionregistrationv1.AuditAnnotation{{Key: "seen", ValueExpression: "'yes'"}}
		}), ""},
		"denies, and audits too": {onBinding(func(b *admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec) {
			b.ValidationActions = append(b.ValidationActions, admissionregistrationv1.Audit)
		}), ""},
		"no policy":  {func(c *cluster) { delete(c.policies, weak) }, notInPlace + `policy "usersecrets-projections" is missing: apply config/policy`},
		"no binding": {func(c *cluster) { delete(c.bindings, weak) }, notInPlace + `binding "usersecrets-projections" is missing: apply config/policy`},

		"fails open":           {onPolicy(func(p *policy) { p.Spec.FailurePolicy = ptr.To(admissionregistrationv1.Ignore) }), another + "failurePolicy" + remedy},
		"matches nothing":      {onPolicy(func(p *policy) { p.Spec.MatchConditions[0].Expression = "false" }), another + "matchConditions" + remedy},
		"matches less":         {onPolicy(func(p *policy) { p.Spec.MatchConditions = append(p.Spec.MatchConditions, never) }), another + "matchConditions" + remedy},
		"accepts everything":   {onPolicy(func(p *policy) { p.Spec.Validations[0].Expression = "true" }), another + "validations" + remedy},
		"validates less":       {onPolicy(func(p *policy) { p.Spec.Validations = p.Spec.Validations[1:] }), another + "validations" + remedy},
		"means something else": {onPolicy(func(p *policy) { p.Spec.Variables[1].Expression = "true" }), another + "variables" + remedy},
		"takes somebody else for the operator": {onPolicy(func(p *policy) { p.Spec.Variables[0].Expression = "true" }), notInPlace +
			`policy "usersecrets-projections" does not know the operator's account 'system:serviceaccount:usersecrets-system:usersecret-operator': ` +
			"apply this version's config/policy"},
		"takes parameters": {onPolicy(func(p *policy) { p.Spec.ParamKind = &admissionregistrationv1.ParamKind{Kind: "ConfigMap"} }), another + "paramKind" + remedy},
		"for some namespaces": {onPolicy(func(p *policy) {
			p.Spec.MatchConstraints.NamespaceSelector.MatchLabels = map[string]string{"a": "b"}
		}), another + "matchConstraints" + remedy},
		"for some operations": {onPolicy(func(p *policy) {
			p.Spec.MatchConstraints.ResourceRules[0].Operations = []admissionregistrationv1.OperationType{admissionregistrationv1.Create}
		}), another + "matchConstraints" + remedy},
		"for everything but some": {onPolicy(func(p *policy) {
			p.Spec.MatchConstraints.ExcludeResourceRules = p.Spec.MatchConstraints.ResourceRules
		}), another + "matchConstraints" + remedy},

		"only warns": {onBinding(func(b *admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec) {
			b.ValidationActions = []admissionregistrationv1.ValidationAction{admissionregistrationv1.Warn}
		}), notInPlace + `binding "usersecrets-projections" does not deny: apply config/policy`},
		"binds another": {onBinding(func(b *admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec) {
			b.PolicyName = "other"
		}), notInPlace + `binding "usersecrets-projections" binds another policy: apply config/policy`},
		"narrowed": {onBinding(func(b *admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec) {
			b.MatchResources = &admissionregistrationv1.MatchResources{}
		}), notInPlace + `binding "usersecrets-projections" holds for some objects only: apply config/policy`},
		"parametrized": {onBinding(func(b *admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec) {
			b.ParamRef = &admissionregistrationv1.ParamRef{Name: "other"}
		}), notInPlace + `binding "usersecrets-projections" depends on parameters: apply config/policy`},
	} {
		t.Run(name, func(t *testing.T) {
			c := installed(asShipped)
			tc.change(c)
			expect(t, New(c.client(), asShipped).look(t.Context()), tc.want)
		})
	}
}

var never = admissionregistrationv1.MatchCondition{Name: "never", Expression: "false"}

// expect compares an error's whole text; an error that says what is not in place is that error too.
func expect(t *testing.T, err error, want string) {
	t.Helper()
	if got := text(err); got != want || (want != "" && !errors.Is(err, ErrNotInPlace)) {
		t.Errorf("look: %q,\nwant %q", got, want)
	}
}

func TestLookForAnotherInstallation(t *testing.T) {
	elsewhere := asShipped
	elsewhere.Account, elsewhere.Namespace = "system:serviceaccount:vault:keeper", "vault"
	kubeflow := asShipped
	kubeflow.OwnerAnnotation = "owner"
	quoted := asShipped
	quoted.Account = `o'brien\`
	for name, tc := range map[string]struct {
		goesBy, policiesAreFor Installation
		want                   string
	}{
		"another annotation, in both": {kubeflow, kubeflow, ""},
		"another account, in both":    {elsewhere, elsewhere, ""},
		"an odd account, in both":     {quoted, quoted, ""},
		"another annotation": {kubeflow, asShipped, notInPlace + `policy "` + ownerPolicy + `" does not know the annotation 'owner': ` +
			`put it in the place of 'usersecrets.dev/owner' in the policy's expressions`},
		"another account": {elsewhere, asShipped, notInPlace + `policy "` + secretsPolicy + `" does not know the operator's account ` +
			`'system:serviceaccount:vault:keeper': put it in the place of 'system:serviceaccount:usersecrets-system:usersecret-operator' in the policy's expressions`},
		"another namespace": {Installation{asShipped.Account, "vault", asShipped.OwnerAnnotation}, asShipped, notInPlace + `policy "` + secretsPolicy +
			`" does not know the operator's namespace 'vault': put it in the place of 'usersecrets-system' in the policy's expressions`},
		"policies for others": {asShipped, kubeflow, notInPlace + `policy "` + ownerPolicy + `" does not know the annotation 'usersecrets.dev/owner': ` +
			`apply this version's config/policy`},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, New(installed(tc.policiesAreFor).client(), tc.goesBy).look(t.Context()), tc.want)
		})
	}
}

func TestProbe(t *testing.T) {
	in := func(answers map[string]error) func(string) error {
		return func(namespace string) error { return answers[namespace] }
	}
	ours, others := refusedBy(probed)(""), refusedBy("no-secrets-in-default")("")
	const notEnforced = notInPlace + `policy "usersecrets-operator-secrets" is there and not enforced, since a Secret that it refuses was let through by dry run: ` +
		"wait a moment, or have the API server run its admission plugin ValidatingAdmissionPolicy"
	const unclear = `seeing policy "usersecrets-operator-secrets" at work: a Secret that it refuses was to be refused by it, and the answer is: `
	for name, tc := range map[string]struct {
		probe      func(string) error
		namespace  string // the operator's own
		want       string
		wantProbes []string
	}{
		"refused":                    {in(map[string]error{"default": ours}), "", "", []string{"default"}},
		"let through":                {in(nil), "", notEnforced, []string{"default"}},
		"refused by another":         {in(map[string]error{"default": others, "kube-system": ours}), "", "", []string{"default", "kube-system"}},
		"let through in one":         {in(map[string]error{"default": others}), "", notEnforced, []string{"default", "kube-system"}},
		"refused by others":          {in(map[string]error{"default": others, "kube-system": others}), "", unclear + others.Error(), []string{"default", "kube-system"}},
		"out of reach":               {func(string) error { return errors.New("down") }, "", unclear + "down", []string{"default", "kube-system"}},
		"an operator in 'default'":   {in(map[string]error{"kube-system": ours}), "default", "", []string{"kube-system"}},
		"an operator in kube-system": {in(map[string]error{"default": ours}), "kube-system", "", []string{"default"}},
	} {
		t.Run(name, func(t *testing.T) {
			goesBy := asShipped
			if tc.namespace != "" {
				goesBy.Namespace = tc.namespace
			}
			c := installed(goesBy)
			c.probe = tc.probe
			err := New(c.client(), goesBy).look(t.Context())
			if got := text(err); got != tc.want {
				t.Errorf("look: %q,\nwant %q", got, tc.want)
			}
			if !slices.Equal(c.probes, tc.wantProbes) {
				t.Errorf("asked in %v, want %v", c.probes, tc.wantProbes)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestCheckBeforeTheFirstLook(t *testing.T) {
	g := New(installed(asShipped).client(), asShipped)
	if err := g.Check(); !errors.Is(err, ErrNotInPlace) {
		t.Errorf("Check before the first look: %v, want ErrNotInPlace", err)
	}
	if err := g.Start(t.Context()); err != nil {
		t.Fatalf("Start: %v", err)
	}
	if err := g.Check(); err != nil {
		t.Errorf("Check after a look that found everything: %v", err)
	}
}
