package usersecret

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/api/v1alpha1"
)

func TestDecideReseal(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*scope)
		want   step
	}{
		"sealed with the active key":       {func(s *scope) { s.active = s.keyID }, keep},
		"nothing is sealed now":            {func(s *scope) { s.active = "" }, keep},
		"does not open":                    {func(s *scope) { s.sealReason, s.active = v1alpha1.ReasonDoesNotOpen, "v2-00000002" }, keep},
		"key not in the vault":             {func(s *scope) { s.sealReason, s.active = v1alpha1.ReasonUnknownKey, "v2-00000002" }, keep},
		"a newer key took over":            {func(s *scope) { s.active = "v2-00000002" }, reseal},
		"and somebody keeps a manifest":    {func(s *scope) { s.active, s.keeper = "v2-00000002", "flux does" }, offer},
		"nothing to do about a kept value": {func(s *scope) { s.active, s.keeper = s.keyID, "flux does" }, keep},
	} {
		if got := decide(good(tc.change)); got != tc.want {
			t.Errorf("%s: step %d, want %d", name, got, tc.want)
		}
	}
}

func managed(manager string, operation metav1.ManagedFieldsOperationType, subresource, fields string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, Subresource: subresource, FieldsV1: metav1.NewFieldsV1(fields)}
}

func TestKeeper(t *testing.T) {
	const owns = `{"f:spec":{"f:encryptedValue":{}}}`
	for name, tc := range map[string]struct {
		fields     []metav1.ManagedFieldsEntry
		annotation string
		want       string
	}{
		"nobody":                       {},
		"who applies it by server":     {fields: []metav1.ManagedFieldsEntry{managed("flux", metav1.ManagedFieldsOperationApply, "", owns)}, want: `field manager "flux" applies it from a manifest`},
		"who applies other fields":     {fields: []metav1.ManagedFieldsEntry{managed("flux", metav1.ManagedFieldsOperationApply, "", `{"f:spec":{"f:provider":{}}}`)}},
		"who once wrote it":            {fields: []metav1.ManagedFieldsEntry{managed("kubectl-create", metav1.ManagedFieldsOperationUpdate, "", owns)}},
		"our plugin":                   {fields: []metav1.ManagedFieldsEntry{managed("kubectl-usersecret", metav1.ManagedFieldsOperationApply, "", owns)}},
		"a status":                     {fields: []metav1.ManagedFieldsEntry{managed("x", metav1.ManagedFieldsOperationApply, "status", owns)}},
		"without fields":               {fields: []metav1.ManagedFieldsEntry{{Manager: "x", Operation: metav1.ManagedFieldsOperationApply}}},
		"fields that cannot be read":   {fields: []metav1.ManagedFieldsEntry{managed("x", metav1.ManagedFieldsOperationApply, "", `{"f:spec`)}, want: `field manager "x" applies it from a manifest`},
		"who applies it by client":     {annotation: `{"spec":{"encryptedValue":"us1.v1-00000001.AAAA"}}`, want: "kubectl apply keeps it from a manifest"},
		"who applies a plaintext":      {annotation: `{"spec":{"provider":"openai"}}`},
		"an annotation that is broken": {annotation: `{"spec":`},
	} {
		t.Run(name, func(t *testing.T) {
			us := &v1alpha1.UserSecret{ObjectMeta: metav1.ObjectMeta{ManagedFields: tc.fields}}
			if tc.annotation != "" {
				us.Annotations = map[string]string{"kubectl.kubernetes.io/last-applied-configuration": tc.annotation}
			}
			if got := keeper(us); got != tc.want {
				t.Errorf("keeper = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestNewestKey(t *testing.T) {
	keys := ranks{"v1-00000001": 1, "v2-00000002": 2}
	for name, tc := range map[string]struct {
		sealedWith, before string
		change             func(*scope)
		want               string
	}{
		"the first":                     {"v1-00000001", "", nil, "v1-00000001"},
		"sealed again":                  {"v2-00000002", "v1-00000001", nil, "v2-00000002"},
		"put back":                      {"v1-00000001", "v2-00000002", nil, "v2-00000002"},
		"another value with an old key": {"v1-00000001", "v2-00000002", func(s *scope) { s.valueID = "bb" }, "v1-00000001"},
		"the newer one was deleted":     {"v1-00000001", "v3-00000003", nil, "v1-00000001"},
		"does not open now":             {"v1-00000001", "v2-00000002", func(s *scope) { s.sealReason = v1alpha1.ReasonDoesNotOpen }, "v2-00000002"},
	} {
		t.Run(name, func(t *testing.T) {
			s := good(func(s *scope) {
				s.keys, s.keyID = keys, tc.sealedWith
				s.userSecret.Status.ValueID, s.userSecret.Status.ResealedKeyID = s.valueID, tc.before
			})
			if tc.change != nil {
				tc.change(s)
			}
			if got := s.newestKey(); got != tc.want {
				t.Errorf("newestKey = %s, want %s", got, tc.want)
			}
		})
	}
}

func TestStaleKeyIsReadyAndTold(t *testing.T) {
	s := good(func(s *scope) {
		s.sealReason, s.sealMessage, s.resealed = v1alpha1.ReasonStaleKey, "somebody keeps it", "us1.v2-00000002.AAAA"
	})
	after := report(s)
	sealed, ready := condition(after.Conditions, v1alpha1.ConditionSealed), condition(after.Conditions, v1alpha1.ConditionReady)
	if sealed.Status != metav1.ConditionTrue || sealed.Reason != v1alpha1.ReasonStaleKey || ready.Status != metav1.ConditionTrue {
		t.Errorf("Sealed is %s (%s), Ready is %s", sealed.Status, sealed.Reason, ready.Status)
	}
	if after.ResealedValue != s.resealed || !alarming(sealed) {
		t.Errorf("offered %q, alarming %t", after.ResealedValue, alarming(sealed))
	}
}
