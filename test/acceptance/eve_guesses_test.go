package acceptance_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/test/lab"
	"usersecrets.dev/operator/test/rig"
)

// Whoever gets another answer for a right guess than for a wrong one needs no
// access at all. So each spec asks twice, and compares all that comes back.
var _ = Describe("who guesses alice's value", Ordered, ContinueOnFailure, func() {
	var alice *estate
	var eve, gitops *rig.Person

	BeforeAll(func(ctx SpecContext) {
		alice = newEstate(ctx)
		eve = newMeddler(ctx, alice.Namespace)
		gitops = newDelegate(ctx, alice.Namespace)
	})

	refused := func(ctx context.Context, try func(ctx context.Context, guess string) error, because string) {
		GinkgoHelper()
		answer := func(guess string) string {
			err := try(ctx, guess)
			denied(err, because)
			Expect(err.Error()).NotTo(ContainSubstring(guess), "a guess is not repeated")
			return err.Error()
		}
		Expect(answer(alice.value)).To(Equal(answer("sk-proj-guessed-0123456789abcdef")))
		alice.untouched(ctx)
	}

	guessers := []struct {
		as     string
		person func() *rig.Person
	}{
		{"an editor", func() *rig.Person { return eve }},
		{"a delegate", func() *rig.Person { return gitops }},
	}
	for _, guesser := range guessers {
		DescribeTable("is told nothing as "+guesser.as+" by writing it in the clear",
			func(ctx SpecContext, try func(ctx context.Context, person *rig.Person, guess string) error) {
				refused(ctx, func(ctx context.Context, guess string) error { return try(ctx, guesser.person(), guess) }, byWebhook("seal")+plaintextByOwner)
			},
			Entry("over it", func(ctx context.Context, person *rig.Person, guess string) error {
				return person.Client.Patch(ctx, alice.copyFor(alice.Namespace, "openai"), mergePatch(fmt.Sprintf(`{"spec":{"value":%q}}`, guess)))
			}),
			Entry("over it, as a dry run", func(ctx context.Context, person *rig.Person, guess string) error {
				return person.Client.Patch(ctx, alice.copyFor(alice.Namespace, "openai"), mergePatch(fmt.Sprintf(`{"spec":{"value":%q}}`, guess)), client.DryRunAll)
			}),
			Entry("beside it", func(ctx context.Context, person *rig.Person, guess string) error {
				return person.Client.Create(ctx, plaintext(alice.Person, "openai-2", "openai", v1alpha1.TypeAPIKey, guess), client.DryRunAll)
			}),
			Entry("as if it were not there", func(ctx context.Context, person *rig.Person, guess string) error {
				return person.Client.Create(ctx, plaintext(alice.Person, "openai", "openai", v1alpha1.TypeAPIKey, guess))
			}),
			Entry("by server-side apply", func(ctx context.Context, person *rig.Person, guess string) error {
				return person.Client.Patch(ctx, alice.copyFor(alice.Namespace, "openai"),
					applyPatch("UserSecret", "openai", fmt.Sprintf(`"spec":{"provider":"openai","type":"api_key","value":%q}`, guess)),
					client.FieldOwner("guess"), client.ForceOwnership)
			}),
		)
	}

	// The owner is told that a text repeats the value; nobody else may be.
	for _, guesser := range guessers {
		It("is told nothing as "+guesser.as+" by writing it beside the value", func(ctx SpecContext) {
			note := func(guess string) lab.Result {
				return guesser.person().Kubectl(ctx, "", "annotate", "usersecret", "openai", "-n", alice.Namespace, "--overwrite", "guess="+guess)
			}
			Expect(note(alice.value)).To(Equal(note("sk-proj-guessed-0123456789abcdef")))
			Expect(note(alice.value).Err()).NotTo(HaveOccurred())
			Expect(note("none").Err()).NotTo(HaveOccurred())
			Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(alice.userSecret), alice.userSecret)).To(Succeed())
		})
	}

	It("is told nothing as a stranger of what else would be wrong", func(ctx SpecContext) {
		sealed := func(edit func(*v1alpha1.UserSecret)) string {
			us := alice.copyFor(alice.Namespace, "more")
			edit(us)
			result := applyManifest(ctx, eve, us, "--server-side")
			alice.untold(result.Stderr)
			Expect(result.Stderr).NotTo(ContainSubstring("Warning"))
			Expect(result.Stderr).To(HaveSuffix(byWebhook("validate") + ownersAndDelegates + "\n"))
			return result.Stderr
		}
		plain := sealed(func(*v1alpha1.UserSecret) {})
		for what, edit := range map[string]func(*v1alpha1.UserSecret){
			"a value that opens and matches no pattern": func(us *v1alpha1.UserSecret) {
				us.Spec = sealedWith(ctx, alice.Person, envelope.Binding{Owner: alice.Name, Namespace: alice.Namespace, Name: "more"}).Spec
			},
			"a value that cannot be read": func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = "none" },
			"an unknown provider":         func(us *v1alpha1.UserSecret) { us.Spec.Provider = "unheard-of" },
			"a type that it has not":      func(us *v1alpha1.UserSecret) { us.Spec.Type = v1alpha1.TypeConnectionString },
			"an expiry in the past":       func(us *v1alpha1.UserSecret) { us.Spec.ExpiresAt = &metav1.Time{Time: time.Now().Add(-time.Hour)} },
			"no rival of alice's own":     func(us *v1alpha1.UserSecret) { us.Spec.Active = new(false) },
		} {
			Expect(sealed(edit)).To(Equal(plain), what)
		}
	})

	It("learns from ids, masks and ciphertext of no two values that they are equal", func(ctx SpecContext) {
		bob := newUser(ctx, "bob")
		equal := []*v1alpha1.UserSecret{alice.userSecret}
		for _, name := range []string{"copy-1", "copy-2"} {
			equal = append(equal, store(ctx, alice.Person, userSecret(ctx, alice.Person, name, "custom", v1alpha1.TypeCustom, alice.value)))
		}
		for _, name := range []string{"openai", "copy-1"} {
			equal = append(equal, store(ctx, bob, userSecret(ctx, bob, name, "custom", v1alpha1.TypeCustom, alice.value)))
		}
		ids, texts := map[string]bool{}, map[string]bool{}
		for _, us := range equal {
			ids[us.Status.ValueID], texts[us.Spec.EncryptedValue] = true, true
		}
		Expect(ids).To(HaveLen(len(equal)))
		Expect(texts).To(HaveLen(len(equal)))

		masks := map[string]bool{}
		for i, short := range []string{"a", "hunter2", "fifteen-letters"} {
			name := fmt.Sprintf("short-%d", i)
			us := store(ctx, alice.Person, userSecret(ctx, alice.Person, name, "custom", v1alpha1.TypeCustom, short))
			masks[us.Status.Masked] = true
			Expect(strings.Trim(us.Status.Masked, ".")).To(BeEmpty(), "a short value is not shown in part")
		}
		Expect(masks).To(HaveLen(1), "a mask does not tell a length")
	})
})

var _ = Describe("a delegate, such as a GitOps controller", Ordered, func() {
	var alice *rig.Person
	var gitops *rig.Person

	BeforeAll(func(ctx SpecContext) {
		alice = newUser(ctx, "alice")
		gitops = newDelegate(ctx, alice.Namespace)
	})

	It("writes sealed values, under its own name", func(ctx SpecContext) {
		us := userSecret(ctx, alice, "openai", "openai", v1alpha1.TypeAPIKey, "sk-proj-by-gitops-0123456789")
		us.Annotations = map[string]string{v1alpha1.CreatedByAnnotation: alice.Name}
		Expect(gitops.Client.Create(ctx, us)).To(Succeed())
		Expect(us.Annotations).To(HaveKeyWithValue(v1alpha1.CreatedByAnnotation, gitops.Name))
		Expect(gitops.Client.Patch(ctx, us, mergePatch(fmt.Sprintf(`{"spec":{"encryptedValue":%q}}`, sealFor(ctx, alice, "openai", "sk-proj-anew-0123456789"))))).To(Succeed())
		pod := start(ctx, workflowPod(alice.Namespace, "step", "openai"))
		Expect(projectionOf(ctx, pod).Data).To(Equal(map[string][]byte{"OPENAI_API_KEY": []byte("sk-proj-anew-0123456789")}))
		denied(gitops.Client.Patch(ctx, us.DeepCopy(), mergePatch(fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.CreatedByAnnotation, alice.Name))),
			byWebhook("validate")+creatorStays)
	})

	It("writes nothing that is sealed for another place", func(ctx SpecContext) {
		moved := userSecret(ctx, alice, "slack", "slack", v1alpha1.TypeOAuthToken, "xoxb-elsewhere-0123456789")
		moved.Spec.EncryptedValue = sealFor(ctx, alice, "openai", "xoxb-elsewhere-0123456789")
		denied(gitops.Client.Create(ctx, moved), byWebhook("validate")+doesNotOpen)
	})

	It("is one in that namespace alone", func(ctx SpecContext) {
		other := newUser(ctx, "alice")
		allowMeddling(ctx, gitops, other.Namespace)
		denied(gitops.Client.Create(ctx, userSecret(ctx, other, "openai", "openai", v1alpha1.TypeAPIKey, "sk-proj-by-gitops-0123456789")),
			byWebhook("validate")+ownersAndDelegates)
	})

	It("deletes what it wrote", func(ctx SpecContext) {
		us := &v1alpha1.UserSecret{ObjectMeta: metav1.ObjectMeta{Namespace: alice.Namespace, Name: "openai"}}
		Expect(gitops.Client.Delete(ctx, us)).To(Succeed())
	})
})

// newDelegate is a ServiceAccount of another namespace that may write sealed
// values on an owner's behalf.
func newDelegate(ctx context.Context, namespace string) *rig.Person {
	GinkgoHelper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: fmt.Sprintf("gitops-%d", serial.Add(1))}}
	Expect(product.Client.Create(ctx, account)).To(Succeed())
	person, err := product.ServiceAccountPerson(ctx, account.Namespace, account.Name)
	Expect(err).NotTo(HaveOccurred())
	allow(ctx, person, namespace, "usersecret-delegate")
	awaitGrant(ctx, person, authorizationv1.ResourceAttributes{
		Namespace: namespace, Verb: v1alpha1.DelegateVerb, Group: v1alpha1.GroupVersion.Group, Resource: "usersecrets",
	})
	return person
}
