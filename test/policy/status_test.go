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

const statusPolicy = "usersecrets-status"

const statusMessage = "the status of UserSecrets and EncryptionKeys is written by the UserSecret operator alone, as the " +
	"record of every use: leave status out of what you write."

var _ = Describe("The status", func() {
	It("of a UserSecret is written by the operator alone", func(ctx context.Context) {
		used := userSecret(newNamespace(ctx), "used")
		Expect(as(alice).Create(ctx, used)).To(Succeed())
		used.Status.Usage = &v1alpha1.Usage{Count: 7}
		for _, username := range []string{alice, bob, garbageCollector, storageMigrator} {
			Expect(as(username).Status().Update(ctx, used.DeepCopy())).To(beDenied(statusPolicy, statusMessage), username)
		}
		Expect(as(operator).Status().Update(ctx, used)).To(Succeed())

		used.Status.Usage.Count = 0
		Expect(as(alice).Status().Update(ctx, used.DeepCopy())).To(beDenied(statusPolicy, statusMessage))
		used.Status = v1alpha1.UserSecretStatus{}
		Expect(as(alice).Status().Update(ctx, used.DeepCopy())).To(beDenied(statusPolicy, statusMessage))
		forget := client.RawPatch(types.MergePatchType, []byte(`{"status":null}`))
		Expect(as(alice).Status().Patch(ctx, used.DeepCopy(), forget)).To(beDenied(statusPolicy, statusMessage))
	})

	It("of an EncryptionKey is written by the operator alone", func(ctx context.Context) {
		key := &v1alpha1.EncryptionKey{ObjectMeta: metav1.ObjectMeta{Name: "v1"}}
		Expect(admin.Create(ctx, key)).To(Succeed())
		DeferCleanup(admin.Delete, key)
		key.Status = v1alpha1.EncryptionKeyStatus{Phase: v1alpha1.KeyActive}
		Expect(as(bob).Status().Update(ctx, key.DeepCopy())).To(beDenied(statusPolicy, statusMessage))
		Expect(as(operator).Status().Update(ctx, key)).To(Succeed())
		key.Status.Phase = v1alpha1.KeyRetired
		Expect(as(bob).Status().Update(ctx, key.DeepCopy())).To(beDenied(statusPolicy, statusMessage))
	})

	It("may be written by anyone whom RBAC lets, where it stays the same", func(ctx context.Context) {
		used := userSecret(newNamespace(ctx), "used")
		Expect(as(alice).Create(ctx, used)).To(Succeed())
		Expect(as(storageMigrator).Status().Update(ctx, used)).To(Succeed())
		used.Status.Usage = &v1alpha1.Usage{Count: 1, LastUsedAt: &metav1.Time{}}
		Expect(as(operator).Status().Update(ctx, used)).To(Succeed())
		Expect(as(alice).Status().Update(ctx, used)).To(Succeed())
	})

	It("does not come along with a write of the rest", func(ctx context.Context) {
		used := userSecret(newNamespace(ctx), "used")
		used.Status.Usage = &v1alpha1.Usage{Count: 7}
		Expect(as(alice).Create(ctx, used)).To(Succeed())
		used.Status.Usage = &v1alpha1.Usage{Count: 7}
		used.Spec.Description = "for the demo"
		Expect(as(alice).Update(ctx, used)).To(Succeed())
		Expect(used.Status.Usage).To(BeNil())
	})
})
