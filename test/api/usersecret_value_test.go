package api_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	valueForbidden = "spec: Forbidden: value is never stored: the admission webhook that seals it did not run. " +
		"Seal it with 'kubectl usersecret seal', or ask the administrator whether the UserSecret operator is running"
	valueRequired = "spec: Required value: a UserSecret needs a value: make one with 'kubectl usersecret create', " +
		"or give spec.value as the namespace's owner"
)

// canary is a value that must be found nowhere, canaryNumber one that YAML takes for a number.
const (
	canary       = "canary-5f0c6b1e"
	canaryNumber = 7316402958137
)

// As a value is written by mistake: unquoted, YAML takes digits for a number, and a JSON key file for an object.
func valueEntries() []TableEntry {
	return []TableEntry{
		Entry("text", canary),
		Entry("empty text", ""),
		Entry("an integer", canaryNumber),
		Entry("a fraction", canaryNumber+0.25),
		Entry("a truth value", true),
		Entry("an object", fields{"private_key": canary}),
		Entry("a list", list{canary, canaryNumber}),
	}
}

var _ = Describe("A UserSecret with a value in the clear", func() {
	var secret *unstructured.Unstructured

	BeforeEach(func() {
		secret = userSecret("default")
	})
	AfterEach(expectCleanLog)

	DescribeTable("is not created", func(ctx context.Context, value any) {
		put(secret, "spec.encryptedValue", absent)
		put(secret, "spec.value", value)
		expectRefusal(admin.Create(ctx, secret), valueForbidden)
	}, valueEntries())

	DescribeTable("is not created beside a sealed one", func(ctx context.Context, value any) {
		put(secret, "spec.value", value)
		expectRefusal(admin.Create(ctx, secret), valueForbidden)
	}, valueEntries())

	DescribeTable("is not applied server-side", func(ctx context.Context, value any) {
		put(secret, "spec.value", value)
		expectRefusal(apply(ctx, secret), valueForbidden)
	}, valueEntries())

	DescribeTable("does not come by an update", func(ctx context.Context, value any) {
		stored := stored(ctx, userSecret)
		put(stored, "spec.value", value)
		expectRefusal(admin.Update(ctx, stored), valueForbidden)
	}, valueEntries())

	DescribeTable("does not come by a patch", func(ctx context.Context, value any) {
		stored := stored(ctx, userSecret)
		patch, err := json.Marshal(fields{"spec": fields{"value": value}})
		Expect(err).NotTo(HaveOccurred())
		expectRefusal(admin.Patch(ctx, stored, client.RawPatch(types.MergePatchType, patch)), valueForbidden)
	}, valueEntries())

	It("is refused with reason FieldValueForbidden", func(ctx context.Context) {
		put(secret, "spec.value", canary)
		Expect(reasons(admin.Create(ctx, secret))).To(ConsistOf(string(metav1.CauseTypeForbidden)))
	})

	It("is refused where the value has a megabyte", func(ctx context.Context) {
		put(secret, "spec.value", canary+long(1<<20))
		expectRefusal(admin.Create(ctx, secret), valueForbidden)
	})

	It("is refused where the rest is wrong too", func(ctx context.Context) {
		put(secret, "spec.type", "password")
		put(secret, "spec.displayName", long(101))
		put(secret, "spec.value", canary)
		err := admin.Create(ctx, secret)
		Expect(refusals(err)).To(ConsistOf("spec.displayName: "+tooLong(100), `spec.type: Unsupported value: "password": `+knownTypes))
		expectNoCanary("the answer", err.Error())
	})
})

var _ = Describe("A UserSecret without a value", func() {
	It("is not created, with reason FieldValueRequired", func(ctx context.Context) {
		o := userSecret("default")
		put(o, "spec.encryptedValue", absent)
		err := admin.Create(ctx, o)
		Expect(refusals(err)).To(ConsistOf(valueRequired))
		Expect(reasons(err)).To(ConsistOf(string(metav1.CauseTypeFieldValueRequired)))
	})

	It("is not created with null for a value", func(ctx context.Context) {
		o := userSecret("default")
		put(o, "spec.encryptedValue", absent)
		put(o, "spec.value", nil)
		Expect(refusals(admin.Create(ctx, o))).To(ConsistOf(valueRequired))
	})

	It("may say null beside a sealed one", func(ctx context.Context) {
		o := userSecret("default")
		put(o, "spec.value", nil)
		Expect(admin.Create(ctx, o, client.DryRunAll)).To(Succeed())
		Expect(at(o, "spec")).NotTo(HaveKey("value"))
	})

	It("is not what an update leaves", func(ctx context.Context) {
		stored := stored(ctx, userSecret)
		put(stored, "spec.encryptedValue", absent)
		Expect(refusals(admin.Update(ctx, stored))).To(ConsistOf(valueRequired))
	})
})

func expectRefusal(err error, want string) {
	GinkgoHelper()
	Expect(refusals(err)).To(ConsistOf(want))
	expectNoCanary("the answer", err.Error())
	for _, text := range warnings.take() {
		expectNoCanary("a warning", text)
	}
}

// expectCleanLog reads the API server's log from its start: it logs errors that it answers with, and some that it does not.
func expectCleanLog() {
	GinkgoHelper()
	log, err := os.ReadFile(filepath.Join(controlPlane.Logs(), "kube-apiserver.log"))
	Expect(err).NotTo(HaveOccurred())
	Expect(log).NotTo(BeEmpty())
	expectNoCanary("the API server's log", string(log))
}

func expectNoCanary(where, text string) {
	GinkgoHelper()
	for _, trace := range []string{canary, "7316402958137", "7.316402958137"} {
		Expect(text).NotTo(ContainSubstring(trace), "%s repeats the value", where)
	}
}

// apply applies server-side, as kubectl does with --force-conflicts.
func apply(ctx context.Context, o *unstructured.Unstructured, options ...client.ApplyOption) error {
	options = append(options, client.FieldOwner("test"), client.ForceOwnership)
	return admin.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), options...)
}
