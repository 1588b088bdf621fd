package acceptance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
	"usersecrets.dev/operator/test/lab"
	"usersecrets.dev/operator/test/rig"
)

// doesNotOpen is all that anybody is told about a sealed value that is not for
// this place: never for which one it is, nor whether it was altered.
const doesNotOpen = "spec.encryptedValue: the sealed value does not open here: it was sealed for another owner, " +
	"namespace, name or key, or it was altered; seal the value again for this owner, namespace and name"

const (
	creatorStays = "annotation usersecrets.dev/created-by is stamped when the UserSecret is created, and stays: leave it out"
	askForOwner  = "needs the verb assign-owner on this namespace, from a ClusterRoleBinding: ask an administrator"
)

var _ = Describe("bob, who has a namespace of his own", Ordered, ContinueOnFailure, func() {
	var alice *estate
	var bob *rig.Person
	var his *v1alpha1.UserSecret

	BeforeAll(func(ctx SpecContext) {
		alice, bob = newEstate(ctx), newUser(ctx, "bob")
		allowMeddling(ctx, bob, bob.Namespace)
		his = store(ctx, bob, userSecret(ctx, bob, "slack", "slack", v1alpha1.TypeOAuthToken, "xoxb-bobs-own-0123456789"))
	})

	AfterEach(func(ctx SpecContext) { alice.untouched(ctx) })

	It("reads nothing in alice's namespace", func(ctx SpecContext) {
		watcher, err := client.NewWithWatch(bob.Config, client.Options{Scheme: rig.Scheme()})
		Expect(err).NotTo(HaveOccurred())
		for resource, list := range map[string]client.ObjectList{
			"usersecrets": &v1alpha1.UserSecretList{}, "sealingkeys": &v1alpha1.SealingKeyList{},
			"secrets": &corev1.SecretList{}, "pods": &corev1.PodList{}, "events": &corev1.EventList{},
		} {
			alice.refuses(bob.Client.List(ctx, list, client.InNamespace(alice.Namespace)), byRBAC(bob, "list", resource))
			alice.refuses(bob.Client.List(ctx, list), byRBAC(bob, "list", resource), "at the cluster scope")
			_, err := watcher.Watch(ctx, list, client.InNamespace(alice.Namespace))
			alice.refuses(err, byRBAC(bob, "watch", resource))
		}
	})

	It("cannot tell what there is in alice's namespace from what there is not", func(ctx SpecContext) {
		ask := func(object client.Object, name string) string {
			err := bob.Client.Get(ctx, types.NamespacedName{Namespace: alice.Namespace, Name: name}, object)
			alice.refuses(err, fmt.Sprintf("User %q cannot get resource", bob.Name))
			return strings.ReplaceAll(err.Error(), name, "NAME")
		}
		Expect(ask(&v1alpha1.UserSecret{}, alice.userSecret.Name)).To(Equal(ask(&v1alpha1.UserSecret{}, "nothing")))
		Expect(ask(&corev1.Secret{}, alice.projection.Name)).To(Equal(ask(&corev1.Secret{}, "nothing")))
		Expect(ask(&corev1.Pod{}, alice.pod.Name)).To(Equal(ask(&corev1.Pod{}, "nothing")))
	})

	It("writes nothing in alice's namespace", func(ctx SpecContext) {
		alice.refuses(bob.Client.Create(ctx, alice.copyFor(alice.Namespace, "mine")), byRBAC(bob, "create", "usersecrets"))
		alice.refuses(bob.Client.Patch(ctx, alice.copyFor(alice.Namespace, "openai"), mergePatch(`{"spec":{"active":false}}`)), byRBAC(bob, "patch", "usersecrets"))
		alice.refuses(bob.Client.Delete(ctx, alice.copyFor(alice.Namespace, "openai")), byRBAC(bob, "delete", "usersecrets"))
		alice.refuses(bob.Client.Create(ctx, workflowPod(alice.Namespace, "his", "openai")), byRBAC(bob, "create", "pods"))
		alice.refuses(bob.Client.Delete(ctx, alice.projection.DeepCopy()), byRBAC(bob, "delete", "secrets"))
		alice.refuses(bob.Client.Create(ctx, &v1alpha1.EncryptionKey{ObjectMeta: metav1.ObjectMeta{Name: "bobs"}}), byRBAC(bob, "create", "encryptionkeys"))
	})

	It("is nobody else", func(ctx SpecContext) {
		for _, who := range []string{
			alice.Name,
			"system:serviceaccount:usersecrets-system:usersecret-operator",
			"system:serviceaccount:kube-system:generic-garbage-collector",
		} {
			config := rest.CopyConfig(bob.Config)
			config.Impersonate.UserName = who
			impostor, err := client.New(config, client.Options{Scheme: rig.Scheme(), Mapper: product.Client.RESTMapper()})
			Expect(err).NotTo(HaveOccurred())
			denied(impostor.Create(ctx, alice.copyFor(bob.Namespace, "openai")), fmt.Sprintf("User %q cannot impersonate", bob.Name))
		}
	})

	// Every way gets the same answer, so that none tells more than another.
	DescribeTable("gets nothing out of a sealed value that is not his, in his own namespace",
		func(ctx SpecContext, try func(ctx context.Context) error) {
			err := try(ctx)
			alice.refuses(err, byWebhook("validate")+doesNotOpen)
			Expect(err.Error()).To(HaveSuffix(doesNotOpen), "nothing more is told")
			Expect(product.Client.Get(ctx, types.NamespacedName{Namespace: bob.Namespace, Name: "openai"}, &v1alpha1.UserSecret{})).
				To(MatchError(apierrors.IsNotFound, "nothing was stored"))
			current := &v1alpha1.UserSecret{}
			Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(his), current)).To(Succeed())
			Expect(current.Spec).To(Equal(his.Spec))
		},
		Entry("alice's, under the same name", func(ctx context.Context) error {
			return bob.Client.Create(ctx, alice.copyFor(bob.Namespace, "openai"))
		}),
		Entry("alice's, under another name", func(ctx context.Context) error {
			return bob.Client.Create(ctx, alice.copyFor(bob.Namespace, "found"))
		}),
		Entry("alice's, as a dry run", func(ctx context.Context) error {
			return bob.Client.Create(ctx, alice.copyFor(bob.Namespace, "openai"), client.DryRunAll)
		}),
		Entry("alice's, by kubectl apply", func(ctx context.Context) error {
			return applyManifest(ctx, bob, alice.copyFor(bob.Namespace, "openai")).Err()
		}),
		Entry("alice's, by server-side apply", func(ctx context.Context) error {
			return applyManifest(ctx, bob, alice.copyFor(bob.Namespace, "openai"), "--server-side").Err()
		}),
		Entry("alice's, written over his own", func(ctx context.Context) error {
			return bob.Client.Patch(ctx, his.DeepCopy(), mergePatch(fmt.Sprintf(`{"spec":{"encryptedValue":%q}}`, alice.userSecret.Spec.EncryptedValue)))
		}),
		Entry("his own, under another name", func(ctx context.Context) error {
			moved := alice.copyFor(bob.Namespace, "openai")
			moved.Spec.EncryptedValue = his.Spec.EncryptedValue
			return bob.Client.Create(ctx, moved)
		}),
		Entry("his own, from another namespace of his", func(ctx context.Context) error {
			second, err := product.Onboard(ctx, bob.Name, fmt.Sprintf("second-%d", serial.Add(1)))
			Expect(err).NotTo(HaveOccurred())
			us := userSecret(ctx, second, "openai", "openai", v1alpha1.TypeAPIKey, "sk-proj-bobs-second-0123456789")
			us.Namespace = bob.Namespace
			return bob.Client.Create(ctx, us)
		}),
		Entry("one sealed with alice's key for his place", func(ctx context.Context) error {
			return bob.Client.Create(ctx, sealedWith(ctx, alice.Person, envelope.Binding{Owner: bob.Name, Namespace: bob.Namespace, Name: "openai"}))
		}),
		Entry("one sealed with alice's key for her in his namespace", func(ctx context.Context) error {
			return bob.Client.Create(ctx, sealedWith(ctx, alice.Person, envelope.Binding{Owner: alice.Name, Namespace: bob.Namespace, Name: "openai"}))
		}),
		Entry("one sealed with his key for alice in his namespace", func(ctx context.Context) error {
			return bob.Client.Create(ctx, sealedWith(ctx, bob, envelope.Binding{Owner: alice.Name, Namespace: bob.Namespace, Name: "openai"}))
		}),
		Entry("alice's, altered", func(ctx context.Context) error {
			altered := alice.copyFor(bob.Namespace, "openai")
			altered.Spec.EncryptedValue = flipLast(altered.Spec.EncryptedValue)
			return bob.Client.Create(ctx, altered)
		}),
	)

	It("cannot pass his own off as made by alice", func(ctx SpecContext) {
		forged := userSecret(ctx, bob, "forged", "custom", v1alpha1.TypeCustom, "bobs-value-0123456789")
		forged.Annotations = map[string]string{v1alpha1.CreatedByAnnotation: alice.Name}
		Expect(bob.Client.Create(ctx, forged)).To(Succeed())
		Expect(forged.Annotations).To(HaveKeyWithValue(v1alpha1.CreatedByAnnotation, bob.Name))

		alice.refuses(bob.Client.Patch(ctx, forged.DeepCopy(), mergePatch(fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.CreatedByAnnotation, alice.Name))),
			byWebhook("validate")+creatorStays)
		alice.refuses(bob.Client.Status().Patch(ctx, forged.DeepCopy(), mergePatch(fmt.Sprintf(`{"status":{"owner":%q}}`, alice.Name))),
			byPolicy("status"), "written by the UserSecret operator alone")

		// Taken away, it comes back.
		Expect(bob.Client.Patch(ctx, forged, mergePatch(fmt.Sprintf(`{"metadata":{"annotations":{%q:null}}}`, v1alpha1.CreatedByAnnotation)))).To(Succeed())
		Expect(forged.Annotations).To(HaveKeyWithValue(v1alpha1.CreatedByAnnotation, bob.Name))
	})

	It("makes himself the owner of nothing, and alice of nothing", func(ctx SpecContext) {
		allowNamespaces(ctx, bob)
		namespace := func(name string) *corev1.Namespace {
			return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		}
		owned := func(by string) client.Patch {
			return mergePatch(fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, v1alpha1.OwnerAnnotation, by))
		}
		hers, alices := namespace(bob.Namespace+"-hers"), fmt.Sprintf("%q", alice.Name)
		hers.Annotations = map[string]string{v1alpha1.OwnerAnnotation: alice.Name}
		for what, err := range map[string]error{
			"a new namespace for alice":    bob.Client.Create(ctx, hers),
			"his namespace for alice":      bob.Client.Patch(ctx, namespace(bob.Namespace), owned(alices)),
			"his namespace for nobody":     bob.Client.Patch(ctx, namespace(bob.Namespace), owned("null")),
			"alice's namespace for him":    bob.Client.Patch(ctx, namespace(alice.Namespace), owned(fmt.Sprintf("%q", bob.Name))),
			"alice's namespace for nobody": bob.Client.Patch(ctx, namespace(alice.Namespace), owned("null")),
			"through status":               bob.Client.Status().Patch(ctx, namespace(bob.Namespace), owned(alices)),
			"by server-side apply":         applyManifest(ctx, bob, hers, "--server-side").Err(),
		} {
			By(what)
			alice.refuses(err, byPolicy("namespace-owner"), askForOwner)
		}
		alice.refuses(finalize(ctx, bob, alice.Namespace, bob.Name), byPolicy("namespace-owner"), askForOwner)
		Expect(bob.Client.Patch(ctx, namespace(bob.Namespace), mergePatch(`{"metadata":{"labels":{"team":"b"}}}`))).To(Succeed())
	})
})

// applyManifest has kubectl apply an object.
func applyManifest(ctx context.Context, person *rig.Person, object client.Object, flags ...string) lab.Result {
	GinkgoHelper()
	return person.Kubectl(ctx, manifestOf(object), append([]string{"apply", "-f", "-"}, flags...)...)
}

// manifestOf is an object as a manifest in JSON.
func manifestOf(object client.Object) string {
	GinkgoHelper()
	gvk, err := apiutil.GVKForObject(object, rig.Scheme())
	Expect(err).NotTo(HaveOccurred())
	object = object.DeepCopyObject().(client.Object)
	object.GetObjectKind().SetGroupVersionKind(gvk)
	text, err := json.Marshal(object)
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}

// sealedWith is a UserSecret openai in somebody's namespace, sealed with the
// public key of whomever, for a place of one's choice.
func sealedWith(ctx context.Context, key *rig.Person, place envelope.Binding) *v1alpha1.UserSecret {
	GinkgoHelper()
	published := &v1alpha1.SealingKey{}
	Expect(product.Client.Get(ctx, types.NamespacedName{Namespace: key.Namespace, Name: v1alpha1.SealingKeyName}, published)).To(Succeed())
	public, err := envelope.NewPublicKey(envelope.KeyID(published.Spec.KeyID), published.Spec.PublicKey)
	Expect(err).NotTo(HaveOccurred())
	sealed, err := public.Seal(place, secretvalue.FromString("sk-proj-anybodys-0123456789"))
	Expect(err).NotTo(HaveOccurred())
	return &v1alpha1.UserSecret{
		ObjectMeta: metav1.ObjectMeta{Namespace: place.Namespace, Name: place.Name},
		Spec:       v1alpha1.UserSecretSpec{Provider: "openai", Type: v1alpha1.TypeAPIKey, EncryptedValue: sealed},
	}
}

// flipLast changes a sealed value's tag.
func flipLast(sealed string) string {
	at := len(sealed) - 8
	other := byte('A')
	if sealed[at] == other {
		other = 'B'
	}
	return sealed[:at] + string(other) + sealed[at+1:]
}

// finalize writes a namespace's owner through the finalize subresource.
func finalize(ctx context.Context, person *rig.Person, namespace, owner string) error {
	GinkgoHelper()
	ns := &corev1.Namespace{}
	Expect(product.Client.Get(ctx, types.NamespacedName{Name: namespace}, ns)).To(Succeed())
	ns.Annotations[v1alpha1.OwnerAnnotation] = owner
	return person.Client.SubResource("finalize").Update(ctx, ns)
}
