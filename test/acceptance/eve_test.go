package acceptance_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/test/rig"
)

// What strangers are told, whatever they wrote.
const (
	ownersAndDelegates = "this namespace's UserSecrets may be written by its owner, and by who holds the verb 'delegate' " +
		"on usersecrets in it: ask an administrator"
	plaintextByOwner = "plaintext in spec.value is accepted from the namespace's owner alone; seal it with " +
		"'kubectl usersecret seal' and give spec.encryptedValue"
	statusByOperator = "the status of UserSecrets and EncryptionKeys is written by the UserSecret operator alone, as the " +
		"record of every use: leave status out of what you write."
	sealingKeyByOperator = "SealingKeys are written by the UserSecret operator alone, since whoever wrote one could read " +
		"what is sealed with it: leave it to the operator"
)

// A name that nothing has, for owners that garbage collection would look for.
const nobodysUID = types.UID("7c6a2b52-2f0e-4f6a-8a55-5f6a3a1d9e11")

var _ = Describe("eve, an editor in alice's namespace", Ordered, ContinueOnFailure, func() {
	var alice *estate
	var eve *rig.Person

	BeforeAll(func(ctx SpecContext) {
		alice = newEstate(ctx)
		eve = newMeddler(ctx, alice.Namespace)
	})

	AfterEach(func(ctx SpecContext) { alice.untouched(ctx) })

	sealed := func(ctx context.Context, name string) *v1alpha1.UserSecret {
		return sealedWith(ctx, alice.Person, envelope.Binding{Owner: alice.Name, Namespace: alice.Namespace, Name: name})
	}
	patch := func(text string) func(context.Context) error {
		return func(ctx context.Context) error {
			return eve.Client.Patch(ctx, alice.copyFor(alice.Namespace, "openai"), mergePatch(text))
		}
	}

	DescribeTable("writes nothing of alice's UserSecret",
		func(ctx SpecContext, try func(context.Context) error, because string) {
			alice.refuses(try(ctx), because)
		},
		Entry("a value of hers, by merge patch", patch(`{"spec":{"value":"eves-value-0123456789"}}`), byWebhook("seal")+plaintextByOwner),
		Entry("a value of hers, by JSON patch", func(ctx context.Context) error {
			return eve.Client.Patch(ctx, alice.copyFor(alice.Namespace, "openai"),
				client.RawPatch(types.JSONPatchType, []byte(`[{"op":"add","path":"/spec/value","value":"eves-value-0123456789"}]`)))
		}, byWebhook("seal")+plaintextByOwner),
		Entry("a value of hers, by server-side apply", func(ctx context.Context) error {
			return eve.Client.Patch(ctx, alice.copyFor(alice.Namespace, "openai"),
				applyPatch("UserSecret", "openai", `"spec":{"provider":"openai","type":"api_key","value":"eves-value-0123456789"}`), client.FieldOwner("eve"), client.ForceOwnership)
		}, byWebhook("seal")+plaintextByOwner),
		Entry("a value of hers, by kubectl apply", func(ctx context.Context) error {
			return applyManifest(ctx, eve, plaintext(alice.Person, "openai", "openai", v1alpha1.TypeAPIKey, "eves-value-0123456789")).Err()
		}, byWebhook("seal")+plaintextByOwner),
		Entry("a value of hers, sealed for the place", func(ctx context.Context) error {
			return patch(fmt.Sprintf(`{"spec":{"encryptedValue":%q}}`, sealed(ctx, "openai").Spec.EncryptedValue))(ctx)
		}, byWebhook("validate")+ownersAndDelegates),
		Entry("all of it, sealed for the place", func(ctx context.Context) error {
			return eve.Client.Update(ctx, sealed(ctx, "openai"), &client.UpdateOptions{})
		}, "must be specified for an update"),
		Entry("all of it, replaced", func(ctx context.Context) error {
			replaced := sealed(ctx, "openai")
			replaced.ResourceVersion = alice.userSecret.ResourceVersion
			return eve.Client.Update(ctx, replaced)
		}, byWebhook("validate")+ownersAndDelegates),
		Entry("switched off", patch(`{"spec":{"active":false}}`), byWebhook("validate")+ownersAndDelegates),
		Entry("switched off, as a dry run", func(ctx context.Context) error {
			return eve.Client.Patch(ctx, alice.copyFor(alice.Namespace, "openai"), mergePatch(`{"spec":{"active":false}}`), client.DryRunAll)
		}, byWebhook("validate")+ownersAndDelegates),
		Entry("an expiry", patch(fmt.Sprintf(`{"spec":{"expiresAt":%q}}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))), byWebhook("validate")+ownersAndDelegates),
		Entry("a description", patch(`{"spec":{"description":"eve was here"}}`), byWebhook("validate")+ownersAndDelegates),
		Entry("tags", patch(`{"spec":{"tags":["eve"]}}`), byWebhook("validate")+ownersAndDelegates),
		Entry("its connection test", patch(`{"spec":{"verification":{"mode":"Disabled"}}}`), byWebhook("validate")+ownersAndDelegates),
		Entry("a call for a connection test", patch(`{"metadata":{"annotations":{"usersecrets.dev/verify-requested-at":"now"}}}`), byWebhook("validate")+ownersAndDelegates),
		Entry("who made it", patch(`{"metadata":{"annotations":{"usersecrets.dev/created-by":"eve"}}}`), byWebhook("validate")+ownersAndDelegates),
		Entry("an owner that is gone, with which it would be collected",
			patch(fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"never","uid":%q}]}}`, nobodysUID)),
			byWebhook("validate")+ownersAndDelegates),
		Entry("a finalizer, which would keep it when alice deletes it",
			patch(`{"metadata":{"finalizers":["example.com/keep"]}}`), byWebhook("validate")+ownersAndDelegates),
		Entry("a claim to its fields, by applying what is there", func(ctx context.Context) error {
			return eve.Client.Patch(ctx, alice.copyFor(alice.Namespace, "openai"), applyPatch("UserSecret", "openai",
				fmt.Sprintf(`"spec":{"encryptedValue":%q}`, alice.userSecret.Spec.EncryptedValue)), client.FieldOwner("eve"))
		}, byWebhook("validate")+ownersAndDelegates),
		Entry("whose its fields are", patch(`{"metadata":{"managedFields":[{}]}}`), byWebhook("validate")+ownersAndDelegates),
		Entry("what was applied last, by which alice's next apply would switch it on",
			patch(`{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"spec\":{\"active\":false}}"}}}`),
			byWebhook("validate")+ownersAndDelegates),
		Entry("its uses", func(ctx context.Context) error {
			return eve.Client.Status().Patch(ctx, alice.copyFor(alice.Namespace, "openai"), mergePatch(`{"status":{"usage":{"count":0},"recentAccesses":null}}`))
		}, byPolicy("status")+statusByOperator),
		Entry("its conditions", func(ctx context.Context) error {
			return eve.Client.Status().Patch(ctx, alice.copyFor(alice.Namespace, "openai"), mergePatch(`{"status":{"conditions":[]}}`))
		}, byPolicy("status")+statusByOperator),
		Entry("its end", func(ctx context.Context) error {
			return eve.Client.Delete(ctx, alice.copyFor(alice.Namespace, "openai"))
		}, byWebhook("delete")+ownersAndDelegates),
		Entry("its end, waiting for what depends on it", func(ctx context.Context) error {
			return eve.Client.Delete(ctx, alice.copyFor(alice.Namespace, "openai"), client.PropagationPolicy(metav1.DeletePropagationForeground))
		}, byWebhook("delete")+ownersAndDelegates),
		Entry("its end, as part of a collection", func(ctx context.Context) error {
			return eve.Client.DeleteAllOf(ctx, &v1alpha1.UserSecret{}, client.InNamespace(alice.Namespace))
		}, byWebhook("delete")+ownersAndDelegates),
	)

	DescribeTable("adds no UserSecret to alice's",
		func(ctx SpecContext, try func(context.Context) error, because string) {
			alice.refuses(try(ctx), because)
			stored := &v1alpha1.UserSecretList{}
			Expect(product.Client.List(ctx, stored, client.InNamespace(alice.Namespace))).To(Succeed())
			Expect(stored.Items).To(HaveLen(1))
		},
		Entry("in the clear", func(ctx context.Context) error {
			return eve.Client.Create(ctx, plaintext(alice.Person, "more", "custom", v1alpha1.TypeCustom, "eves-value-0123456789"))
		}, byWebhook("seal")+plaintextByOwner),
		Entry("sealed for the place", func(ctx context.Context) error {
			return eve.Client.Create(ctx, sealed(ctx, "more"))
		}, byWebhook("validate")+ownersAndDelegates),
		Entry("alice's value under another name", func(ctx context.Context) error {
			return eve.Client.Create(ctx, alice.copyFor(alice.Namespace, "more"))
		}, byWebhook("validate")+ownersAndDelegates),
		Entry("as if alice made it", func(ctx context.Context) error {
			forged := sealed(ctx, "more")
			forged.Annotations = map[string]string{v1alpha1.CreatedByAnnotation: alice.Name}
			return eve.Client.Create(ctx, forged)
		}, byWebhook("validate")+ownersAndDelegates),
		Entry("by server-side apply", func(ctx context.Context) error {
			return applyManifest(ctx, eve, sealed(ctx, "more"), "--server-side").Err()
		}, byWebhook("validate")+ownersAndDelegates),
	)

	It("may label alice's UserSecret, as tools do, which changes nothing else of it", func(ctx SpecContext) {
		for what, err := range map[string]error{
			"patched": eve.Client.Patch(ctx, alice.copyFor(alice.Namespace, "openai"), mergePatch(`{"metadata":{"labels":{"team":"b"}}}`)),
			"applied": eve.Client.Patch(ctx, alice.copyFor(alice.Namespace, "openai"), client.RawPatch(types.ApplyPatchType, fmt.Appendf(nil,
				`{"apiVersion":%q,"kind":"UserSecret","metadata":{"name":"openai","annotations":{"example.com/note":"x"}}}`, v1alpha1.GroupVersion)), client.FieldOwner("eve")),
		} {
			Expect(err).NotTo(HaveOccurred(), what)
		}
		before := alice.userSecret.DeepCopy()
		Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(before), alice.userSecret)).To(Succeed())
		Expect(alice.userSecret.Spec).To(Equal(before.Spec))
		Expect(alice.userSecret.Status).To(Equal(before.Status))
		Expect(alice.userSecret.Generation).To(Equal(before.Generation))
	})

	DescribeTable("receives no value that is sealed for alice: her SealingKey stays",
		func(ctx SpecContext, try func(ctx context.Context, key *v1alpha1.SealingKey) error) {
			key := &v1alpha1.SealingKey{}
			Expect(product.Client.Get(ctx, types.NamespacedName{Namespace: alice.Namespace, Name: v1alpha1.SealingKeyName}, key)).To(Succeed())
			denied(try(ctx, key.DeepCopy()), byPolicy("sealing-keys")+sealingKeyByOperator)
			after := &v1alpha1.SealingKey{}
			Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(key), after)).To(Succeed())
			Expect(after.ResourceVersion).To(Equal(key.ResourceVersion))
		},
		Entry("replaced", func(ctx context.Context, key *v1alpha1.SealingKey) error {
			key.Spec.PublicKey[0] ^= 1
			return eve.Client.Update(ctx, key)
		}),
		Entry("patched", func(ctx context.Context, key *v1alpha1.SealingKey) error {
			return eve.Client.Patch(ctx, key, mergePatch(`{"spec":{"fingerprint":"eves"}}`))
		}),
		Entry("applied", func(ctx context.Context, key *v1alpha1.SealingKey) error {
			return eve.Client.Patch(ctx, key, applyPatch("SealingKey", key.Name, `"spec":{"owner":"eve"}`), client.FieldOwner("eve"), client.ForceOwnership)
		}),
		Entry("deleted", func(ctx context.Context, key *v1alpha1.SealingKey) error { return eve.Client.Delete(ctx, key) }),
		Entry("deleted as part of a collection", func(ctx context.Context, key *v1alpha1.SealingKey) error {
			return eve.Client.DeleteAllOf(ctx, &v1alpha1.SealingKey{}, client.InNamespace(key.Namespace))
		}),
		Entry("left to the garbage collector", func(ctx context.Context, key *v1alpha1.SealingKey) error {
			key.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "never", UID: nobodysUID}}
			return eve.Client.Update(ctx, key)
		}),
		Entry("kept past its time", func(ctx context.Context, key *v1alpha1.SealingKey) error {
			key.Finalizers = []string{"example.com/keep"}
			return eve.Client.Update(ctx, key)
		}),
	)

	It("makes no second SealingKey, and touches no EncryptionKey", func(ctx SpecContext) {
		second := &v1alpha1.SealingKey{
			ObjectMeta: metav1.ObjectMeta{Namespace: alice.Namespace, Name: "sealing-key-2"},
			Spec:       v1alpha1.SealingKeySpec{Owner: "eve", KeyID: "v1-00000000", PublicKey: []byte("eves"), Fingerprint: "eves"},
		}
		denied(eve.Client.Create(ctx, second), "the SealingKey of a namespace is named sealing-key")
		keys := &v1alpha1.EncryptionKeyList{}
		Expect(product.Client.List(ctx, keys)).To(Succeed())
		Expect(keys.Items).NotTo(BeEmpty())
		denied(eve.Client.Create(ctx, &v1alpha1.EncryptionKey{ObjectMeta: metav1.ObjectMeta{Name: "eves"}}), byRBAC(eve, "create", "encryptionkeys"))
		denied(eve.Client.Delete(ctx, &keys.Items[0]), byRBAC(eve, "delete", "encryptionkeys"))
		denied(eve.Client.Status().Patch(ctx, &keys.Items[0], mergePatch(`{"status":{"phase":"Retired"}}`)), byRBAC(eve, "patch", "encryptionkeys/status"))
	})

	It("cannot make herself a delegate", func(ctx SpecContext) {
		subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: eve.Name}}
		binding := &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: alice.Namespace, Name: "eves"}, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "usersecret-delegate"},
		}
		alice.refuses(eve.Client.Create(ctx, binding), "is attempting to grant RBAC permissions not currently held", `Verbs:["delegate"]`)
		role := &rbacv1.Role{
			ObjectMeta: metav1.ObjectMeta{Namespace: alice.Namespace, Name: "eves"},
			Rules: []rbacv1.PolicyRule{{
				APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"usersecrets"}, Verbs: []string{v1alpha1.DelegateVerb},
			}},
		}
		alice.refuses(eve.Client.Create(ctx, role), "is attempting to grant RBAC permissions not currently held", `Verbs:["delegate"]`)
	})
})
