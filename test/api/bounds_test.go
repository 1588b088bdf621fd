package api_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// maker makes a valid object, in the namespace if its kind has one.
type maker func(namespace string) *unstructured.Unstructured

// refuse is the body of a table: a valid object with another value at path is refused, for
// what is wrong at that path alone, with that message.
func (m maker) refuse(ctx context.Context, path string, value any, want string) {
	o := m("default")
	put(o, path, value)
	Expect(refusals(admin.Create(ctx, o, client.DryRunAll))).To(ConsistOf(path + ": " + want))
}

// accept is its other side: the value is accepted, and kept as it is.
func (m maker) accept(ctx context.Context, path string, value any) {
	o := m("default")
	put(o, path, value)
	Expect(admin.Create(ctx, o, client.DryRunAll)).To(Succeed())
	Expect(at(o, path)).To(Equal(plain(value)))
}

// refuseStatus is refuse for a field of the status.
func (m maker) refuseStatus(ctx context.Context, path string, value any, want string) {
	o := m(newNamespace(ctx))
	Expect(admin.Create(ctx, o)).To(Succeed())
	put(o, path, value)
	Expect(refusals(admin.Status().Update(ctx, o, client.DryRunAll))).To(ConsistOf(path + ": " + want))
}

// acceptStatus is accept for a field of the status.
func (m maker) acceptStatus(ctx context.Context, path string, value any) {
	o := m(newNamespace(ctx))
	Expect(admin.Create(ctx, o)).To(Succeed())
	put(o, path, value)
	Expect(admin.Status().Update(ctx, o, client.DryRunAll)).To(Succeed())
	Expect(at(o, path)).To(Equal(plain(value)))
}

var _ = Describe("The objects that every table starts from", func() {
	DescribeTable("are valid", func(ctx context.Context, m maker) {
		Expect(admin.Create(ctx, m("default"), client.DryRunAll)).To(Succeed())
		Expect(warnings.take()).To(BeEmpty())
	},
		Entry("UserSecret", maker(userSecret)),
		Entry("SecretProvider", maker(secretProvider)),
		Entry("EncryptionKey", maker(encryptionKey)),
		Entry("SealingKey", maker(sealingKey)),
	)
})
