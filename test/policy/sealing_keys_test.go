package policy

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

const sealingKeysPolicy = "usersecrets-sealing-keys"

const sealingKeyMessage = "SealingKeys are written by the UserSecret operator alone, since whoever wrote one could read " +
	"what is sealed with it: leave it to the operator, which publishes one in every namespace that has an owner, and " +
	"makes it again where it is missing."

var _ = Describe("A SealingKey", func() {
	var key *v1alpha1.SealingKey

	BeforeEach(func(ctx context.Context) {
		key = sealingKey(newNamespace(ctx))
		Expect(as(operator).Create(ctx, key)).To(Succeed())
	})

	It("is created and changed by the operator", func(ctx context.Context) {
		key.Spec.KeyID = "v2-0a1b2c3d"
		key.Annotations = map[string]string{"note": "x"}
		Expect(as(operator).Update(ctx, key)).To(Succeed())
	})

	DescribeTable("is created by nobody else", func(ctx context.Context, username string) {
		Expect(as(username).Create(ctx, sealingKey(newNamespace(ctx)))).To(beDenied(sealingKeysPolicy, sealingKeyMessage))
	},
		Entry("bob", bob),
		Entry("the owner", alice),
		Entry("the garbage collector", garbageCollector),
		Entry("the storage migrator", storageMigrator),
	)

	DescribeTable("is changed by nobody else",
		func(ctx context.Context, username string, edit func(*v1alpha1.SealingKey)) {
			edit(key)
			Expect(as(username).Update(ctx, key)).To(beDenied(sealingKeysPolicy, sealingKeyMessage))
		},
		Entry("bob, the key", bob, func(k *v1alpha1.SealingKey) { k.Spec.PublicKey = []byte("of bob") }),
		Entry("bob, the owner", bob, func(k *v1alpha1.SealingKey) { k.Spec.Owner = bob }),
		Entry("the owner, the key", alice, func(k *v1alpha1.SealingKey) { k.Spec.PublicKey = []byte("of alice") }),
		Entry("bob, a label", bob, func(k *v1alpha1.SealingKey) { k.Labels = map[string]string{"a": "b"} }),
		Entry("bob, an annotation", bob, func(k *v1alpha1.SealingKey) { k.Annotations = map[string]string{"a": "b"} }),
		Entry("bob, a finalizer", bob, func(k *v1alpha1.SealingKey) { k.Finalizers = []string{"example.com/keep"} }),
		Entry("bob, an owner reference", bob, func(k *v1alpha1.SealingKey) {
			k.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "p", UID: podUID}}
		}),
		Entry("the garbage collector, the key", garbageCollector, func(k *v1alpha1.SealingKey) { k.Spec.PublicKey = []byte("x") }),
	)

	It("is not changed by a patch or a server-side apply of others", func(ctx context.Context) {
		for patchType, text := range map[types.PatchType]string{
			types.MergePatchType: `{"spec":{"publicKey":"AAAA"}}`,
			types.ApplyPatchType: `{"apiVersion":"usersecrets.dev/v1alpha1","kind":"SealingKey",` +
				`"metadata":{"name":"sealing-key"},"spec":{"publicKey":"AAAA"}}`,
		} {
			patch := client.RawPatch(patchType, []byte(text))
			Expect(as(bob).Patch(ctx, key.DeepCopy(), patch, client.FieldOwner("test"), forceWhereApplied(patchType))).
				To(beDenied(sealingKeysPolicy, sealingKeyMessage), string(patchType))
		}
	})

	DescribeTable("may be written by anyone whom RBAC lets, where nothing changes",
		func(ctx context.Context, username string) {
			Expect(as(username).Update(ctx, key)).To(Succeed())
		},
		Entry("the storage migrator", storageMigrator),
		Entry("bob", bob),
	)

	It("loses a finalizer to the garbage collector", func(ctx context.Context) {
		key.Finalizers = []string{metav1.FinalizerOrphanDependents}
		Expect(as(operator).Update(ctx, key)).To(Succeed())
		key.Finalizers = nil
		Expect(as(garbageCollector).Update(ctx, key)).To(Succeed())
	})

	DescribeTable("is not deleted by others", func(ctx context.Context, username string) {
		Expect(as(username).Delete(ctx, key)).To(beDenied(sealingKeysPolicy, sealingKeyMessage))
		Expect(as(username).DeleteAllOf(ctx, &v1alpha1.SealingKey{}, client.InNamespace(key.Namespace))).
			To(beDenied(sealingKeysPolicy, sealingKeyMessage))
	},
		Entry("bob", bob),
		Entry("the owner", alice),
	)

	DescribeTable("is deleted by", func(ctx context.Context, username string) {
		Expect(as(username).Delete(ctx, key)).To(Succeed())
	},
		Entry("the operator", operator),
		Entry("the garbage collector", garbageCollector),
		Entry("the namespace controller", namespaceController),
		Entry("a controller-manager without credentials for each controller", controllerManager),
	)
})

// forceWhereApplied forces conflicts of a server-side apply; other patches have none to force.
func forceWhereApplied(patchType types.PatchType) client.PatchOption {
	if patchType == types.ApplyPatchType {
		return client.ForceOwnership
	}
	return &client.PatchOptions{}
}
