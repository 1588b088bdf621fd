package policy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// manifests are the objects of a file, or of every file of a folder but its kustomization.yaml.
func manifests(path string) []*unstructured.Unstructured {
	GinkgoHelper()
	info, err := os.Stat(path)
	Expect(err).NotTo(HaveOccurred())
	if !info.IsDir() {
		return documents(path)
	}
	files, err := filepath.Glob(filepath.Join(path, "*.yaml"))
	Expect(err).NotTo(HaveOccurred())
	var objects []*unstructured.Unstructured
	for _, file := range files {
		if filepath.Base(file) != "kustomization.yaml" {
			objects = append(objects, documents(file)...)
		}
	}
	Expect(objects).NotTo(BeEmpty(), "no manifests in %s", path)
	return objects
}

func documents(file string) []*unstructured.Unstructured {
	GinkgoHelper()
	text, err := os.ReadFile(file)
	Expect(err).NotTo(HaveOccurred())
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var objects []*unstructured.Unstructured
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		Expect(err).NotTo(HaveOccurred(), "reading %s", file)
		object := &unstructured.Unstructured{}
		Expect(yaml.UnmarshalStrict(document, &object.Object)).To(Succeed(), "decoding %s", file)
		objects = append(objects, object)
	}
}

// apply creates what the files hold.
func apply(ctx context.Context, paths ...string) {
	GinkgoHelper()
	for _, path := range paths {
		for _, object := range manifests(path) {
			Expect(admin.Create(ctx, object)).To(Succeed(), "creating %s %s", object.GetKind(), object.GetName())
		}
	}
}
