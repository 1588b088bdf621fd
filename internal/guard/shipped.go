package guard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	manifests "usersecrets.dev/operator/config/policy"
)

type policy = admissionregistrationv1.ValidatingAdmissionPolicy

// Names are those of the policies that ship, each with a binding of the same name.
func Names() []string {
	var names []string
	for _, p := range shipped() {
		names = append(names, p.Name)
	}
	return names
}

// shipped are the policies of config/policy, in the order of their files.
var shipped = sync.OnceValue(func() []*policy {
	policies, err := decode(manifests.Manifests)
	if err != nil {
		panic(err) // the folder is compiled in: a mistake in the program
	}
	return policies
})

func decode(folder fs.FS) ([]*policy, error) {
	files, err := fs.Glob(folder, "*.yaml")
	if err != nil {
		return nil, err
	}
	var policies []*policy
	for _, file := range files {
		text, err := fs.ReadFile(folder, file)
		if err != nil {
			return nil, err
		}
		found, err := decodeFile(text)
		if err != nil {
			return nil, fmt.Errorf("decoding %s: %w", file, err)
		}
		policies = append(policies, found...)
	}
	return policies, nil
}

// decodeFile passes over what is no policy: bindings and kustomization.yaml.
func decodeFile(text []byte) ([]*policy, error) {
	var policies []*policy
	documents := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), len(text))
	for {
		var p policy
		switch err := documents.Decode(&p); {
		case errors.Is(err, io.EOF):
			return policies, nil
		case err != nil:
			return nil, err
		case p.Kind == "ValidatingAdmissionPolicy":
			policies = append(policies, &p)
		}
	}
}

// Installation is what the policies name in their expressions: whom and what an
// operator goes by.
type Installation struct {
	// Account is the operator's own username.
	Account string
	// Namespace is its own, where key material lies.
	Namespace string
	// OwnerAnnotation is the key of the annotation that names a namespace's owner.
	OwnerAnnotation string
}

// names are an Installation's names as they stand in the expressions: CEL literals.
func (i Installation) names() []string {
	return []string{literal(i.Account), literal(i.Namespace), literal(i.OwnerAnnotation)}
}

func literal(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
