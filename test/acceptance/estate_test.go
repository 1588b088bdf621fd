package acceptance_test

import (
	"context"
	"encoding/base64"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

// estate is all of alice's that somebody could be after. Her namespace does not
// tell her name, so that a message which does is noticed.
type estate struct {
	*rig.Person
	value      string
	userSecret *v1alpha1.UserSecret
	pod        *corev1.Pod
	projection *corev1.Secret
}

// newEstate has alice store a value and a pod of hers get it.
func newEstate(ctx context.Context) *estate {
	GinkgoHelper()
	n := serial.Add(1)
	alice, err := product.Onboard(ctx, fmt.Sprintf("alice-%d", n), fmt.Sprintf("home-%d", n))
	Expect(err).NotTo(HaveOccurred())
	e := &estate{Person: alice, value: fmt.Sprintf("sk-proj-estate-%d-0123456789abcdef", n)}
	e.userSecret = store(ctx, alice, userSecret(ctx, alice, "openai", "openai", v1alpha1.TypeAPIKey, e.value))
	e.pod = start(ctx, workflowPod(alice.Namespace, "step", "openai"))
	e.projection = projectionOf(ctx, e.pod)
	Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(e.userSecret), e.userSecret)).To(Succeed())
	return e
}

// refuses expects an error that says each of the texts, and nothing of the
// estate that the requester did not say first.
func (e *estate) refuses(err error, because ...string) {
	GinkgoHelper()
	denied(err, because...)
	e.untold(err.Error())
}

// untold expects a text that tells nothing of the estate.
func (e *estate) untold(text string) {
	GinkgoHelper()
	for what, secret := range map[string]string{
		"the value":           e.value,
		"the value in base64": base64.StdEncoding.EncodeToString([]byte(e.value)),
		"the owner":           e.Name,
		"the value's id":      e.userSecret.Status.ValueID,
	} {
		Expect(text).NotTo(ContainSubstring(secret), "%s is told", what)
	}
}

// untouched expects that nothing was written to the UserSecret since, and that
// the pod still has its value.
func (e *estate) untouched(ctx context.Context) {
	GinkgoHelper()
	us := &v1alpha1.UserSecret{}
	Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(e.userSecret), us)).To(Succeed())
	Expect(us.ResourceVersion).To(Equal(e.userSecret.ResourceVersion), "the UserSecret was written")
	projection := &corev1.Secret{}
	Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(e.projection), projection)).To(Succeed())
	Expect(projection.ResourceVersion).To(Equal(e.projection.ResourceVersion), "the projection was written")
}

// copyFor is the UserSecret as somebody copies it: the ciphertext and what says
// what it is for.
func (e *estate) copyFor(namespace, name string) *v1alpha1.UserSecret {
	return &v1alpha1.UserSecret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.UserSecretSpec{
			Provider: e.userSecret.Spec.Provider, Type: e.userSecret.Spec.Type,
			EncryptedValue: e.userSecret.Spec.EncryptedValue,
		},
	}
}

// Who refuses, as the API server says it.

func byWebhook(name string) string {
	return fmt.Sprintf("admission webhook %q denied the request: ", name+".usersecrets.dev")
}

func byPolicy(name string) string {
	return fmt.Sprintf("ValidatingAdmissionPolicy 'usersecrets-%[1]s' with binding 'usersecrets-%[1]s' denied request: ", name)
}

func byRBAC(person *rig.Person, verb, resource string) string {
	return fmt.Sprintf("User %q cannot %s resource %q in API group", person.Name, verb, resource)
}

// meddlerRole is whatever RBAC can give in somebody else's namespace, but for
// the verb delegate.
const meddlerRole = "acceptance-meddler"

// newMeddler is eve, an editor in somebody else's namespace.
func newMeddler(ctx context.Context, namespace string) *rig.Person {
	GinkgoHelper()
	eve, err := product.Person(fmt.Sprintf("eve-%d", serial.Add(1)), namespace)
	Expect(err).NotTo(HaveOccurred())
	allowMeddling(ctx, eve, namespace)
	return eve
}

func allowMeddling(ctx context.Context, person *rig.Person, namespace string) {
	GinkgoHelper()
	every := []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}
	grant(ctx, meddlerRole,
		rbacv1.PolicyRule{
			APIGroups: []string{v1alpha1.GroupVersion.Group}, Verbs: every,
			Resources: []string{"usersecrets", "usersecrets/status", "sealingkeys", "sealingkeys/status"},
		},
		rbacv1.PolicyRule{
			APIGroups: []string{v1alpha1.GroupVersion.Group}, Verbs: []string{"get", "list", "watch"},
			Resources: []string{"encryptionkeys"},
		},
		rbacv1.PolicyRule{
			APIGroups: []string{""}, Verbs: every,
			Resources: []string{"pods", "pods/status", "pods/ephemeralcontainers", "pods/binding", "bindings"},
		},
		rbacv1.PolicyRule{
			APIGroups: []string{rbacv1.GroupName}, Verbs: every, Resources: []string{"roles", "rolebindings"},
		},
	)
	for _, role := range []string{"edit", meddlerRole} {
		allow(ctx, person, namespace, role)
	}
	awaitGrant(ctx, person, authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "delete", Resource: "secrets"})
	awaitGrant(ctx, person, authorizationv1.ResourceAttributes{
		Namespace: namespace, Verb: "delete", Group: v1alpha1.GroupVersion.Group, Resource: "sealingkeys",
	})
}

// grant makes a ClusterRole where an earlier spec has not.
func grant(ctx context.Context, name string, rules ...rbacv1.PolicyRule) {
	GinkgoHelper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
	if err := product.Client.Create(ctx, role); err != nil {
		Expect(client.IgnoreAlreadyExists(err)).To(Succeed())
	}
}

// allowEverywhere grants somebody the rights of a ClusterRole in the whole cluster.
func allowEverywhere(ctx context.Context, person *rig.Person, clusterRole string) {
	GinkgoHelper()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", clusterRole, serial.Add(1))},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: clusterRole},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: person.Name}},
	}
	Expect(product.Client.Create(ctx, binding)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(product.Client.Delete(ctx, binding)).To(Succeed()) })
}

// allowNamespaces lets somebody create and change every namespace, all but for
// the verb assign-owner.
func allowNamespaces(ctx context.Context, person *rig.Person) {
	GinkgoHelper()
	grant(ctx, "acceptance-namespaces", rbacv1.PolicyRule{
		APIGroups: []string{""}, Verbs: []string{"get", "create", "update", "patch"},
		Resources: []string{"namespaces", "namespaces/status", "namespaces/finalize"},
	})
	allowEverywhere(ctx, person, "acceptance-namespaces")
	awaitGrant(ctx, person, authorizationv1.ResourceAttributes{Verb: "create", Resource: "namespaces"})
}

// awaitGrant returns when the API server's authorizer knows of a grant.
func awaitGrant(ctx context.Context, person *rig.Person, right authorizationv1.ResourceAttributes) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &right}}
		g.Expect(person.Client.Create(ctx, review)).To(Succeed())
		g.Expect(review.Status.Allowed).To(BeTrue())
	}).Should(Succeed())
}

// mergePatch is a JSON merge patch (RFC 7386).
func mergePatch(text string) client.Patch { return client.RawPatch(types.MergePatchType, []byte(text)) }

// applyPatch is a server-side apply of an object's fields, which are given in
// JSON without kind and name.
func applyPatch(kind, name, fields string) client.Patch {
	return client.RawPatch(types.ApplyPatchType, fmt.Appendf(nil,
		`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q},%s}`, v1alpha1.GroupVersion, kind, name, fields))
}
