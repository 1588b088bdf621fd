package webhook

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/api/v1alpha1"
)

func TestStampCreator(t *testing.T) {
	by := func(name string) map[string]any {
		return map[string]any{"annotations": map[string]any{v1alpha1.CreatedByAnnotation: name}}
	}
	noted := map[string]any{"annotations": map[string]any{"note": "x"}}
	tests := map[string]struct {
		operation     admissionv1.Operation
		metadata, old map[string]any
		want          map[string]any
	}{
		"create":                         {operation: admissionv1.Create, metadata: map[string]any{}, want: by("bob")},
		"create, other annotations":      {operation: admissionv1.Create, metadata: noted, want: map[string]any{"annotations": map[string]any{"note": "x", v1alpha1.CreatedByAnnotation: "bob"}}},
		"create, null annotations":       {operation: admissionv1.Create, metadata: map[string]any{"annotations": nil}, want: by("bob")},
		"create in another's name":       {operation: admissionv1.Create, metadata: by("alice"), want: by("bob")},
		"update that leaves it out":      {operation: admissionv1.Update, metadata: map[string]any{}, old: by("alice"), want: by("alice")},
		"update that keeps it":           {operation: admissionv1.Update, metadata: by("alice"), old: by("alice"), want: by("alice")},
		"update that changes it":         {operation: admissionv1.Update, metadata: by("bob"), old: by("alice"), want: by("bob")}, // refused by the validating half
		"update of what never had one":   {operation: admissionv1.Update, metadata: map[string]any{}, old: map[string]any{}, want: map[string]any{}},
		"update that adds it afterwards": {operation: admissionv1.Update, metadata: by("bob"), old: map[string]any{}, want: by("bob")}, // refused by the validating half
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			req := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
				Operation: tt.operation, UserInfo: authenticationv1.UserInfo{Username: "bob"},
			}}
			metadata := decoded(t, tt.metadata, func(map[string]any) {})
			stampCreator(req, metadata, map[string]any{"metadata": tt.old})
			if diff := cmp.Diff(tt.want, metadata); diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
		})
	}
}
