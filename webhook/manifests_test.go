package webhook

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"
)

// Handlers write access records, but none of a dry run, and those of the catalogue
// write nothing: the shipped configurations must say so, for each.
func TestShippedConfigurationsSaySideEffects(t *testing.T) {
	text, err := os.ReadFile("../config/webhook/manifests.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]admissionregistrationv1.SideEffectClass{}
	for _, document := range bytes.Split(text, []byte("\n---\n")) {
		var configuration admissionregistrationv1.ValidatingWebhookConfiguration // the mutating one has the same fields here
		if err := yaml.Unmarshal(document, &configuration); err != nil {
			t.Fatal(err)
		}
		for _, hook := range configuration.Webhooks {
			got[*hook.ClientConfig.Service.Path] = *hook.SideEffects
		}
	}
	want := map[string]admissionregistrationv1.SideEffectClass{
		PathValidateProvider: admissionregistrationv1.SideEffectClassNone,
		PathDeleteProvider:   admissionregistrationv1.SideEffectClassNone,
	}
	for _, path := range []string{PathSealUserSecret, PathValidateUserSecret, PathDeleteUserSecret, PathInjectPod, PathDeleteKey} {
		want[path] = admissionregistrationv1.SideEffectClassNoneOnDryRun
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("side effects (-want +got):\n%s", diff)
	}
}
