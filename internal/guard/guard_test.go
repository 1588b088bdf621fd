package guard

import (
	"errors"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func policy(name string) *admissionregistrationv1.ValidatingAdmissionPolicy {
	return &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       admissionregistrationv1.ValidatingAdmissionPolicySpec{FailurePolicy: ptr.To(admissionregistrationv1.Fail)},
	}
}

func binding(name string) *admissionregistrationv1.ValidatingAdmissionPolicyBinding {
	return &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	}
}

// installed are all policies and bindings, after change had its way with each;
// where it returns false the object is left out.
func installed(change func(client.Object) bool) *Guard {
	var objects []client.Object
	for _, name := range Policies {
		for _, object := range []client.Object{policy(name), binding(name)} {
			if change(object) {
				objects = append(objects, object)
			}
		}
	}
	return New(fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(objects...).Build())
}

func TestLook(t *testing.T) {
	const weak = "usersecrets-projections"
	onPolicy := func(f func(*admissionregistrationv1.ValidatingAdmissionPolicy)) func(client.Object) bool {
		return func(o client.Object) bool {
			if p, ok := o.(*admissionregistrationv1.ValidatingAdmissionPolicy); ok && p.Name == weak {
				f(p)
			}
			return true
		}
	}
	onBinding := func(f func(*admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec)) func(client.Object) bool {
		return func(o client.Object) bool {
			if b, ok := o.(*admissionregistrationv1.ValidatingAdmissionPolicyBinding); ok && b.Name == weak {
				f(&b.Spec)
			}
			return true
		}
	}
	for name, tc := range map[string]struct {
		change func(client.Object) bool
		want   string // empty: all in place
	}{
		"all in place": {func(client.Object) bool { return true }, ""},
		"nothing":      {func(client.Object) bool { return false }, "is missing"},
		"no binding": {func(o client.Object) bool {
			_, isBinding := o.(*admissionregistrationv1.ValidatingAdmissionPolicyBinding)
			return !isBinding || o.GetName() != weak
		}, `binding "usersecrets-projections" is missing`},
		"fails open": {onPolicy(func(p *admissionregistrationv1.ValidatingAdmissionPolicy) {
			p.Spec.FailurePolicy = ptr.To(admissionregistrationv1.Ignore)
		}), `policy "usersecrets-projections" does not fail closed`},
		"only warns": {onBinding(func(b *admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec) {
			b.ValidationActions = []admissionregistrationv1.ValidationAction{admissionregistrationv1.Warn}
		}), `binding "usersecrets-projections" does not deny`},
		"binds another": {onBinding(func(b *admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec) {
			b.PolicyName = "other"
		}), `binding "usersecrets-projections" binds another policy`},
		"narrowed": {onBinding(func(b *admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec) {
			b.MatchResources = &admissionregistrationv1.MatchResources{}
		}), `binding "usersecrets-projections" holds for some objects only`},
	} {
		t.Run(name, func(t *testing.T) {
			err := installed(tc.change).look(t.Context())
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("look: %v", err)
			case tc.want != "" && (!errors.Is(err, ErrNotInPlace) || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("look: %v, want %s", err, tc.want)
			}
		})
	}
}

func TestCheckBeforeTheFirstLook(t *testing.T) {
	g := installed(func(client.Object) bool { return true })
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
