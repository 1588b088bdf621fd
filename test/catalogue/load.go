// Package catalogue reads the catalogue that an install applies, config/providers,
// and its tests prove it file by file: that each is a SecretProvider as the API
// server takes it, and that each test over HTTP, put to a server that answers as
// the provider documents, tells a good value from a bad one and from neither.
package catalogue

import (
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"usersecrets.dev/operator/api/v1alpha1"
)

// index is the file of a folder of the catalogue that is no SecretProvider.
const index = "kustomization.yaml"

// File is one file of the catalogue.
type File struct {
	// Name is the file's, without its folder.
	Name     string
	Provider v1alpha1.SecretProvider
}

// Load reads the files of a folder, in the order of their names. A field that a
// SecretProvider does not have, or has twice, is an error, and so is a folder with
// no file.
func Load(folder string) ([]File, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var files []File
	for _, path := range paths {
		file := File{Name: filepath.Base(path)}
		if file.Name == index {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if err := yaml.UnmarshalStrict(text, &file.Provider); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file.Name, err)
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no SecretProvider", folder)
	}
	return files, nil
}
