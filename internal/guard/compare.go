package guard

import (
	"fmt"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"usersecrets.dev/operator/api/v1alpha1"
)

type spec = admissionregistrationv1.ValidatingAdmissionPolicySpec

// asShipped is the installation that the files of config/policy are written for.
var asShipped = Installation{
	Account:         "system:serviceaccount:" + v1alpha1.OperatorNamespace + ":" + v1alpha1.OperatorName,
	Namespace:       v1alpha1.OperatorNamespace,
	OwnerAnnotation: v1alpha1.OwnerAnnotation,
}

// amiss says how a live policy is not the shipped one as this installation needs
// it, and what to do; nothing where it is. Messages may be in an administrator's
// own words, since they guard nothing.
func (i Installation) amiss(ships, live *policy) string {
	original, got := essence(&ships.Spec), essence(&live.Spec)
	want := i.instead(original)
	what := difference(want, got)
	if what == "" {
		return ""
	}
	shippedNames := asShipped.names()
	for n, name := range i.names() {
		if mentions(original, shippedNames[n]) && !mentions(got, name) {
			return fmt.Sprintf("does not know %s %s: %s",
				[]string{"the operator's account", "the operator's namespace", "the annotation"}[n], name, putting(name, shippedNames[n]))
		}
	}
	return fmt.Sprintf("is not the one that this version ships, its %s is another: apply this version's config/policy", what)
}

// putting is what to do about a name that a policy does not know.
func putting(name, shipped string) string {
	if name == shipped {
		return "apply this version's config/policy"
	}
	return "put it in the place of " + shipped + " in the policy's expressions"
}

// instead is a spec with this installation's names in the place of the shipped ones.
func (i Installation) instead(s *spec) *spec {
	var pairs []string
	here := i.names()
	for n, name := range asShipped.names() {
		pairs = append(pairs, name, here[n])
	}
	names := strings.NewReplacer(pairs...)
	s = s.DeepCopy()
	for _, expression := range expressions(s) {
		*expression = names.Replace(*expression)
	}
	return s
}

func mentions(s *spec, name string) bool {
	for _, expression := range expressions(s) {
		if strings.Contains(*expression, name) {
			return true
		}
	}
	return false
}

// expressions are all in a spec that decide.
func expressions(s *spec) []*string {
	var all []*string
	for n := range s.MatchConditions {
		all = append(all, &s.MatchConditions[n].Expression)
	}
	for n := range s.Variables {
		all = append(all, &s.Variables[n].Expression)
	}
	for n := range s.Validations {
		all = append(all, &s.Validations[n].Expression)
	}
	return all
}

// essence is what a spec decides by, with the API server's defaults filled in (as
// in Kubernetes' pkg/apis/admissionregistration/v1/defaults.go) and without what
// it only says to people.
func essence(s *spec) *spec {
	s = s.DeepCopy()
	s.AuditAnnotations = nil
	for n := range s.Validations {
		s.Validations[n] = admissionregistrationv1.Validation{Expression: s.Validations[n].Expression}
	}
	s.FailurePolicy = filled(s.FailurePolicy, admissionregistrationv1.Fail)
	if s.MatchConstraints == nil {
		s.MatchConstraints = &admissionregistrationv1.MatchResources{}
	}
	m := s.MatchConstraints
	m.MatchPolicy = filled(m.MatchPolicy, admissionregistrationv1.Equivalent)
	m.NamespaceSelector = filled(m.NamespaceSelector, metav1.LabelSelector{})
	m.ObjectSelector = filled(m.ObjectSelector, metav1.LabelSelector{})
	for _, rules := range [][]admissionregistrationv1.NamedRuleWithOperations{m.ResourceRules, m.ExcludeResourceRules} {
		for n := range rules {
			rules[n].Scope = filled(rules[n].Scope, admissionregistrationv1.AllScopes)
		}
	}
	return s
}

func filled[T any](value *T, byDefault T) *T {
	if value == nil {
		return ptr.To(byDefault)
	}
	return value
}

// difference names the first part in which two specs differ; nothing where they do not.
func difference(want, got *spec) string {
	for _, part := range []struct {
		name      string
		want, got any
	}{
		{"failurePolicy", want.FailurePolicy, got.FailurePolicy},
		{"paramKind", want.ParamKind, got.ParamKind},
		{"matchConstraints", want.MatchConstraints, got.MatchConstraints},
		{"matchConditions", want.MatchConditions, got.MatchConditions},
		{"variables", want.Variables, got.Variables},
		{"validations", want.Validations, got.Validations},
	} {
		if !equality.Semantic.DeepEqual(part.want, part.got) {
			return part.name
		}
	}
	// A part that this operator does not know yet is not known to be harmless.
	if !equality.Semantic.DeepEqual(want, got) {
		return "spec"
	}
	return ""
}
