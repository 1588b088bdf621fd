package verify

import (
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	"usersecrets.dev/operator/api/v1alpha1"
)

// What ships would be admitted.
func TestShippedProviders(t *testing.T) {
	files, err := filepath.Glob("../../config/providers/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var p v1alpha1.SecretProvider
		if err := yaml.UnmarshalStrict(text, &p); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for _, err := range ValidateProvider(&p) {
			t.Errorf("%s: %v", file, err)
		}
		checked++
	}
	if checked == 0 {
		t.Error("no provider was found")
	}
}
