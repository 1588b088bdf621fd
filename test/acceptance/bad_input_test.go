package acceptance_test

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apitypes "k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

// The tables of bad input say, for each, who tries it, who refuses it, and the
// whole answer: what was wrong and what to do. Nothing of what was refused may
// be stored, and no answer may repeat the value.

// Who refuses: the first words of a denial by a webhook, as the API server
// passes it on. What the schema refuses starts with "is invalid" and a path.
const (
	sealing    = `admission webhook "seal.usersecrets.dev" denied the request: `
	validating = `admission webhook "validate.usersecrets.dev" denied the request: `
	injecting  = `admission webhook "inject.usersecrets.dev" denied the request: `
)

// pasted is the value that bad input carries.
const pasted = "sk-proj-bad-input-0123456789"

// attempt is a write that must be refused.
type attempt struct {
	by    *witness
	write func(context.Context, client.Client) error
	// want is the whole answer.
	want string
	// secret is what no answer may repeat; pasted where empty.
	secret string
}

// refused makes the attempt and checks the answer.
func expectRefusal(ctx context.Context, a attempt) {
	GinkgoHelper()
	if a.secret == "" {
		a.secret = pasted
	}
	a.by.heard.take()
	err := a.write(ctx, a.by.client)
	Expect(err).To(HaveOccurred())
	expectSilence(everythingTold(err, a.by.heard.take()), a.secret)
	Expect(err).To(MatchError(a.want))
}

// creating creates an object, of which nothing may be there after the refusal.
func creating(object client.Object) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		err := c.Create(ctx, object)
		if key := client.ObjectKeyFromObject(object); key.Name != "" {
			Expect(product.Client.Get(ctx, key, object)).To(MatchError(apierrors.IsNotFound, "nothing is stored"))
		}
		return err
	}
}

// patching merges JSON into an object, which the refusal must leave as it was.
func patching(object client.Object, patch string) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		key := client.ObjectKeyFromObject(object)
		Expect(product.Client.Get(ctx, key, object)).To(Succeed())
		before := object.GetResourceVersion()
		err := c.Patch(ctx, object, client.RawPatch(apitypes.MergePatchType, []byte(patch)))
		Expect(product.Client.Get(ctx, key, object)).To(Succeed())
		Expect(object.GetResourceVersion()).To(Equal(before), "nothing is stored")
		return err
	}
}

// fromYAML is a UserSecret as somebody typed it, right or wrong.
func fromYAML(namespace, text string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	Expect(yaml.UnmarshalStrict([]byte(text), &object.Object)).To(Succeed())
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("UserSecret"))
	object.SetNamespace(namespace)
	if object.GetName() == "" && object.GetGenerateName() == "" {
		object.SetName(fmt.Sprintf("typed-%d", serial.Add(1)))
	}
	return object
}

// openAI is a manifest's spec for OpenAI, with more lines of spec.
func openAI(lines string) string {
	return "spec:\n  provider: openai\n  type: api_key\n  " + lines
}

// people are those of a table. alice owns the namespace, bob owns another;
// eve may write objects in alice's, and robot also holds the verb delegate there.
type people struct {
	alice, bob, eve, robot, admin *witness
}

func newPeople(ctx context.Context) *people {
	GinkgoHelper()
	c := &people{alice: witnessOf(newUser(ctx, "alice")), bob: witnessOf(newUser(ctx, "bob")), admin: newAdmin()}
	c.eve = newWriter(ctx, "eve", c.alice.Namespace, "usersecret-owner")
	c.robot = newWriter(ctx, "robot", c.alice.Namespace, "usersecret-delegate")
	return c
}

// newWriter is somebody without a namespace and with a role in another's.
func newWriter(ctx context.Context, prefix, namespace, clusterRole string) *witness {
	GinkgoHelper()
	person, err := product.Person(fmt.Sprintf("%s-%d", prefix, serial.Add(1)), namespace)
	Expect(err).NotTo(HaveOccurred())
	allow(ctx, person, namespace, clusterRole)
	awaitRight(ctx, person, "update", namespace)
	return witnessOf(person)
}

// unowned is a namespace that belongs to nobody.
func unowned(ctx context.Context) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("unowned-%d", serial.Add(1))}}
	Expect(product.Client.Create(ctx, namespace)).To(Succeed())
	return namespace.Name
}

// awaitRight returns once the API server's authorizer knows a right on
// UserSecrets, which it learns by a watch.
func awaitRight(ctx context.Context, person *rig.Person, verb, namespace string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Group: v1alpha1.GroupVersion.Group, Resource: "usersecrets", Verb: verb, Namespace: namespace,
			},
		}}
		g.Expect(person.Client.Create(ctx, review)).To(Succeed())
		g.Expect(review.Status.Allowed).To(BeTrue())
	}).Should(Succeed())
}

const (
	strangerTold  = "this namespace's UserSecrets may be written by its owner, and by who holds the verb 'delegate' on usersecrets in it: ask an administrator"
	plaintextTold = "plaintext in spec.value is accepted from the namespace's owner alone; seal it with 'kubectl usersecret seal' and give spec.encryptedValue"
)
