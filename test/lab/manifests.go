package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// An Edit changes an object on its way into the cluster, or returns Skip to leave it out.
type Edit = func(*unstructured.Unstructured) error

// Skip is what an Edit returns to leave the object out.
var Skip = errors.New("skip this object") //nolint:errname,staticcheck // named like fs.SkipDir: not a failure

// ReadManifests reads the objects of YAML files and of folders' *.yaml, in order of their names, not
// those of folders below; kustomization.yaml is no manifest. Each object passes through edits.
func ReadManifests(paths []string, edits ...Edit) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, path := range paths {
		files, err := manifestFiles(path)
		if err != nil {
			return nil, fmt.Errorf("looking for manifests: %w", err)
		}
		for _, file := range files {
			read, err := readManifest(file, edits)
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", file, err)
			}
			objects = append(objects, read...)
		}
	}
	return objects, nil
}

// manifestFiles is path itself, or a folder's manifests; a folder without any is an error, being a
// misspelt path more often than not.
func manifestFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	files, err := filepath.Glob(filepath.Join(path, "*.yaml")) // sorted
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(file string) bool { return filepath.Base(file) == "kustomization.yaml" })
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no *.yaml", path)
	}
	return files, nil
}

func readManifest(file string, edits []Edit) ([]*unstructured.Unstructured, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	documents := utilyaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(content)))
	for {
		document := make([]byte, len(content)+1)
		n, err := documents.Read(document)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		object, err := parseObject(document[:n], edits)
		if err != nil {
			return nil, err
		}
		if object != nil {
			objects = append(objects, object)
		}
	}
}

// parseObject returns nil for an empty document and for one that an edit skips.
func parseObject(document []byte, edits []Edit) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict(document, &object.Object); err != nil {
		return nil, err
	}
	if len(object.Object) == 0 {
		return nil, nil // a document of comments alone
	}
	if object.GetKind() == "" || object.GetAPIVersion() == "" || object.GetName() == "" {
		return nil, fmt.Errorf("an object has no apiVersion, kind or metadata.name: %s", describe(object))
	}
	for _, edit := range edits {
		if err := edit(object); errors.Is(err, Skip) {
			return nil, nil // left out
		} else if err != nil {
			return nil, fmt.Errorf("editing %s: %w", describe(object), err)
		}
	}
	return object, nil
}

// describe names an object in errors: its kind and name, never its content.
func describe(object *unstructured.Unstructured) string {
	if object.GetNamespace() == "" {
		return object.GetKind() + " " + object.GetName()
	}
	return object.GetKind() + " " + object.GetNamespace() + "/" + object.GetName()
}
