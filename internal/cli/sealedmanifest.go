package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"usersecrets.dev/operator/api/v1alpha1"
)

// sealedManifest is a file with UserSecrets in it.
type sealedManifest struct {
	path    string
	content []byte
	sealed  []sealedObject
}

// sealedObject is a UserSecret in a manifest.
type sealedObject struct {
	types.NamespacedName
	value string
}

var errNotManifest = errors.New("it is neither YAML nor JSON")

// manifestsIn reads the files, and those in the folders, that hold UserSecrets.
func manifestsIn(env *Environment, named []string, namespace string) ([]*sealedManifest, error) {
	var found []*sealedManifest
	for _, name := range named {
		paths, err := manifestPaths(name)
		if err != nil {
			return nil, fmt.Errorf("reading a manifest: %w; name a file that you may read", err)
		}
		for _, path := range paths {
			m, err := readManifest(env, path, namespace)
			if errors.Is(err, errNotManifest) && path != name {
				// A folder may have templates besides.
				if _, err := fmt.Fprintf(env.ErrOut, "notice: %s is passed over: %s\n", oneLine(path), errNotManifest); err != nil {
					return nil, err
				}
				continue
			}
			if err != nil {
				return nil, err
			}
			if len(m.sealed) > 0 {
				found = append(found, m)
			}
		}
	}
	return found, nil
}

// manifestPaths is a file, or those in a folder.
func manifestPaths(name string) ([]string, error) {
	if name == stdin {
		return []string{stdin}, nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	entries, err := os.ReadDir(name)
	var paths []string
	for _, entry := range entries {
		if slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(entry.Name())) && !entry.IsDir() {
			paths = append(paths, filepath.Join(name, entry.Name()))
		}
	}
	return paths, err
}

func readManifest(env *Environment, path, namespace string) (*sealedManifest, error) {
	m := &sealedManifest{path: path}
	var err error
	if path == stdin {
		m.content, err = io.ReadAll(env.In)
	} else {
		m.content, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading a manifest: %w; name a file that you may read", err)
	}
	if m.sealed, err = sealedIn(m.content, namespace); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// sealedIn finds the UserSecrets of a manifest: of all its documents, and of the
// Lists in them.
func sealedIn(content []byte, namespace string) ([]sealedObject, error) {
	var found []sealedObject
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), len(content)+1)
	for {
		var document any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, errNotManifest // the parser's message repeats parts of the file
		}
		object, _ := document.(map[string]any)
		items, isList := object["items"].([]any)
		if !isList {
			items = []any{document}
		}
		for _, item := range items {
			if s, ok := sealedObjectOf(item, namespace); ok && !slices.Contains(found, s) {
				found = append(found, s)
			}
		}
	}
}

// sealedObjectOf is false where it is no UserSecret with a sealed value.
func sealedObjectOf(document any, namespace string) (sealedObject, bool) {
	fields, ok := document.(map[string]any)
	if !ok {
		return sealedObject{}, false
	}
	object := &unstructured.Unstructured{Object: fields}
	kind := object.GroupVersionKind()
	value, _, err := unstructured.NestedString(fields, "spec", "encryptedValue")
	if err != nil || kind.Group != v1alpha1.GroupVersion.Group || kind.Kind != "UserSecret" || value == "" || object.GetName() == "" {
		return sealedObject{}, false
	}
	if object.GetNamespace() != "" {
		namespace = object.GetNamespace()
	}
	return sealedObject{NamespacedName: types.NamespacedName{Namespace: namespace, Name: object.GetName()}, value: value}, true
}

// write puts the text after in the file's place as a whole, so that it is never
// half written; standard input goes out on standard output.
func (m *sealedManifest) write(env *Environment, after []byte) error {
	if m.path == stdin {
		_, err := env.Out.Write(after)
		return err
	}
	if bytes.Equal(m.content, after) {
		return nil
	}
	if err := replaceFile(m.path, after); err != nil {
		return fmt.Errorf("writing the manifest: %w; it is as it was", err)
	}
	return nil
}

// replaceFile keeps the mode, and a symbolic link to the file.
func replaceFile(path string, content []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".reseal-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // gone already where all went well
	_, err = temporary.Write(content)
	if err := errors.Join(err, temporary.Chmod(info.Mode().Perm()), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
