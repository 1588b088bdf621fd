package acceptance_test

import (
	"context"
	"encoding/base64"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/inject"
	"usersecrets.dev/operator/test/rig"
)

const (
	projectionsAlone = "outside usersecrets-system the UserSecret operator writes Secrets of type usersecrets.dev/projection " +
		"alone: use another account for any other Secret."
	noTokens  = "the UserSecret operator mints no service account tokens: use another account, or the TokenRequest API."
	ownedByIt = "a projection needs exactly one owner reference, to a Pod, with neither controller nor blockOwnerDeletion, " +
		"and the same UID in its annotation usersecrets.dev/pod-uid."
	resealsAlone = "the operator changes nothing but spec.encryptedValue"
)

// foreign are Secrets that have nothing to do with this project.
var foreign = map[string]*corev1.Secret{
	"Opaque": {Data: map[string][]byte{"password": []byte("a-foreign-password-0123456789")}},
	"a registry's": {Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{
		corev1.DockerConfigJsonKey: []byte(`{"auths":{"registry.invalid":{"auth":"a-foreign-password-0123456789"}}}`),
	}},
	"basic auth": {Type: corev1.SecretTypeBasicAuth, Data: map[string][]byte{"password": []byte("a-foreign-password-0123456789")}},
	"one with a finalizer": {
		ObjectMeta: metav1.ObjectMeta{Finalizers: []string{"example.com/keep"}},
		Data:       map[string][]byte{"password": []byte("a-foreign-password-0123456789")},
	},
}

var _ = Describe("Whoever has the operator's token", Ordered, ContinueOnFailure, func() {
	var alice *estate
	var operator client.WithWatch
	var namespace string
	secrets := map[string]*corev1.Secret{}

	BeforeAll(func(ctx SpecContext) {
		var err error
		operator, err = client.NewWithWatch(product.OperatorConfig, client.Options{Scheme: rig.Scheme(), Mapper: product.Client.RESTMapper()})
		Expect(err).NotTo(HaveOccurred())
		alice = newEstate(ctx)
		namespace = newUser(ctx, "bob").Namespace
		n := 0
		for what, secret := range foreign {
			secret = secret.DeepCopy()
			secret.Namespace, secret.Name = namespace, fmt.Sprintf("foreign-%d", n)
			n++
			Expect(product.Client.Create(ctx, secret)).To(Succeed())
			secrets[what] = secret
		}
	})

	AfterEach(func(ctx SpecContext) {
		for _, secret := range secrets {
			after := &corev1.Secret{}
			Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(secret), after)).To(Succeed())
			Expect(after).To(Equal(secret), "a foreign Secret was written")
		}
	})

	AfterAll(func(ctx SpecContext) {
		for _, secret := range secrets {
			Expect(product.Client.Patch(ctx, secret, mergePatch(`{"metadata":{"finalizers":null}}`))).To(Succeed())
		}
	})

	quiet := func(err error, because string) {
		GinkgoHelper()
		denied(err, because)
		for _, told := range []string{"a-foreign-password", base64.StdEncoding.EncodeToString([]byte("a-foreign-password-0123456789")), alice.value} {
			Expect(err.Error()).NotTo(ContainSubstring(told))
		}
	}

	It("reads no Secrets outside of the operator's namespace", func(ctx SpecContext) {
		for _, in := range []string{namespace, alice.Namespace, metav1.NamespaceSystem, metav1.NamespaceAll} {
			quiet(operator.List(ctx, &corev1.SecretList{}, client.InNamespace(in)), byOperatorRBAC("list", "secrets"))
			_, err := operator.Watch(ctx, &corev1.SecretList{}, client.InNamespace(in))
			quiet(err, byOperatorRBAC("watch", "secrets"))
		}
		quiet(operator.Get(ctx, client.ObjectKeyFromObject(secrets["Opaque"]), &corev1.Secret{}), byOperatorRBAC("get", "secrets"))
		quiet(operator.Get(ctx, client.ObjectKeyFromObject(alice.projection), &corev1.Secret{}), byOperatorRBAC("get", "secrets"))
		_, err := operator.Watch(ctx, &corev1.SecretList{}, client.InNamespace(v1alpha1.OperatorNamespace))
		quiet(err, byOperatorRBAC("watch", "secrets"))
	})

	// The API server answers a patch that it cannot decode with the whole object, and
	// one that tests a value with whether it is that: before any policy is asked.
	DescribeTable("patches no Secret, and reads none back from a patch",
		func(ctx SpecContext, kind types.PatchType, text string) {
			for what, secret := range secrets {
				By(what)
				for _, dryRun := range [][]client.PatchOption{nil, {client.DryRunAll}} {
					answer := secret.DeepCopy()
					answer.Data = nil
					quiet(operator.Patch(ctx, answer, client.RawPatch(kind, []byte(text)), append(dryRun, client.FieldOwner("test"))...), byOperatorRBAC("patch", "secrets"))
					Expect(answer.Data).To(BeEmpty())
				}
			}
			quiet(operator.Patch(ctx, alice.projection.DeepCopy(), client.RawPatch(kind, []byte(text)), client.FieldOwner("test")), byOperatorRBAC("patch", "secrets"))
		},
		Entry("that changes nothing", types.MergePatchType, `{}`),
		Entry("that does not decode", types.MergePatchType, `{"immutable":"perhaps"}`),
		Entry("that moves a value into the open", types.JSONPatchType, `[{"op":"copy","from":"/data/password","path":"/type"}]`),
		Entry("that guesses a value", types.JSONPatchType, `[{"op":"test","path":"/data/password","value":"YQ=="}]`),
		Entry("that merges nothing", types.StrategicMergePatchType, `{}`),
		Entry("that applies nothing", types.ApplyPatchType, `{"apiVersion":"v1","kind":"Secret"}`),
	)

	DescribeTable("writes no foreign Secret, not even by dry run",
		func(ctx SpecContext, write func(ctx context.Context, c client.Client, secret *corev1.Secret, dryRun []string) error) {
			for what, secret := range secrets {
				By(what)
				for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
					answer := secret.DeepCopy()
					quiet(write(ctx, operator, answer, dryRun), byPolicy("operator-secrets")+projectionsAlone)
				}
			}
		},
		Entry("made", func(ctx context.Context, c client.Client, secret *corev1.Secret, dryRun []string) error {
			another := secret.DeepCopy()
			another.ObjectMeta = metav1.ObjectMeta{Namespace: secret.Namespace, Name: "another"}
			return c.Create(ctx, another, &client.CreateOptions{DryRun: dryRun})
		}),
		Entry("made under the reserved prefix", func(ctx context.Context, c client.Client, secret *corev1.Secret, dryRun []string) error {
			another := secret.DeepCopy()
			another.ObjectMeta = metav1.ObjectMeta{Namespace: secret.Namespace, Name: "usersecret-another"}
			return c.Create(ctx, another, &client.CreateOptions{DryRun: dryRun})
		}),
		Entry("replaced by another value", func(ctx context.Context, c client.Client, secret *corev1.Secret, dryRun []string) error {
			secret.Data["password"] = []byte("another")
			return c.Update(ctx, secret, &client.UpdateOptions{DryRun: dryRun})
		}),
		Entry("replaced by the same", func(ctx context.Context, c client.Client, secret *corev1.Secret, dryRun []string) error {
			return c.Update(ctx, secret, &client.UpdateOptions{DryRun: dryRun})
		}),
		Entry("deleted", func(ctx context.Context, c client.Client, secret *corev1.Secret, dryRun []string) error {
			return c.Delete(ctx, secret, &client.DeleteOptions{DryRun: dryRun})
		}),
	)

	// An update is compared with an immutable Secret before validating policies are asked.
	It("is told nothing by guessing an immutable Secret", func(ctx SpecContext) {
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "immutable"}, Immutable: new(true),
			Data: map[string][]byte{"password": []byte("a-foreign-password-0123456789")},
		}
		Expect(product.Client.Create(ctx, secret)).To(Succeed())
		answer := func(guess string, dryRun ...client.UpdateOption) string {
			guessed := secret.DeepCopy()
			guessed.Data["password"] = []byte(guess)
			err := operator.Update(ctx, guessed, dryRun...)
			quiet(err, "policy 'usersecrets-operator-updates' with binding 'usersecrets-operator-updates' denied request: ")
			return err.Error()
		}
		Expect(answer("a-foreign-password-0123456789", client.DryRunAll)).To(Equal(answer("another", client.DryRunAll)))
		Expect(answer("a-foreign-password-0123456789")).To(Equal(answer("another")))
	})

	It("reads no foreign Secret back from a deletion", func(ctx SpecContext) {
		core, err := corev1client.NewForConfig(product.OperatorConfig)
		Expect(err).NotTo(HaveOccurred())
		for what, secret := range secrets {
			for _, propagation := range []metav1.DeletionPropagation{
				metav1.DeletePropagationForeground, metav1.DeletePropagationBackground, metav1.DeletePropagationOrphan,
			} {
				By(fmt.Sprintf("%s, %s", what, propagation))
				answer := core.RESTClient().Delete().Namespace(namespace).Resource("secrets").Name(secret.Name).
					Body(&metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}, PropagationPolicy: &propagation}).Do(ctx)
				quiet(answer.Error(), byPolicy("operator-secrets")+projectionsAlone)
				body, _ := answer.Raw()
				Expect(string(body)).NotTo(ContainSubstring("a-foreign-password"))
			}
		}
		quiet(operator.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(namespace)), byOperatorRBAC("deletecollection", "secrets"))
	})

	DescribeTable("makes no projection but for one pod",
		func(ctx SpecContext, edit func(*corev1.Secret)) {
			loose := &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: alice.Namespace, Name: inject.NewProjectionName(),
					Annotations:     map[string]string{v1alpha1.PodUIDAnnotation: string(alice.pod.UID)},
					OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: alice.pod.Name, UID: alice.pod.UID}},
				},
				Type: v1alpha1.ProjectionSecretType,
			}
			Expect(operator.Create(ctx, loose, client.DryRunAll)).To(Succeed())
			loose.UID, loose.ResourceVersion = "", ""
			edit(loose)
			quiet(operator.Create(ctx, loose, client.DryRunAll), byPolicy("operator-secrets")+ownedByIt)
		},
		Entry("owned by nobody", func(s *corev1.Secret) { s.OwnerReferences = nil }),
		Entry("owned by another pod than it says", func(s *corev1.Secret) { s.Annotations[v1alpha1.PodUIDAnnotation] = string(nobodysUID) }),
		Entry("owned by what outlives the pod", func(s *corev1.Secret) {
			s.OwnerReferences[0].APIVersion, s.OwnerReferences[0].Kind = "apps/v1", "Deployment"
		}),
	)

	It("mints no token, in whichever way", func(ctx SpecContext) {
		minted := func(namespace string) *corev1.Secret {
			return &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: namespace, Name: "minted", Annotations: map[string]string{corev1.ServiceAccountNameKey: "default"},
				},
				Type: corev1.SecretTypeServiceAccountToken,
			}
		}
		quiet(operator.Create(ctx, minted(namespace)), byPolicy("operator-secrets")+projectionsAlone)
		quiet(operator.Create(ctx, minted(v1alpha1.OperatorNamespace)), byPolicy("operator-secrets")+noTokens)
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"}}
		quiet(operator.SubResource("token").Create(ctx, account, &authenticationv1.TokenRequest{}), byOperatorRBAC("create", "serviceaccounts/token"))
		account = &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.OperatorNamespace, Name: v1alpha1.OperatorName}}
		quiet(operator.SubResource("token").Create(ctx, account, &authenticationv1.TokenRequest{}), byOperatorRBAC("create", "serviceaccounts/token"))
	})

	It("makes and changes nothing else", func(ctx SpecContext) {
		us := alice.userSecret
		for what, refusal := range map[string]struct {
			err     error
			because string
		}{
			"pods":           {operator.Create(ctx, workflowPod(alice.Namespace, "stolen", "openai")), byOperatorRBAC("create", "pods")},
			"pods' marks":    {operator.Patch(ctx, alice.pod.DeepCopy(), mergePatch(`{"metadata":{"labels":{"a":"b"}}}`)), byOperatorRBAC("patch", "pods")},
			"namespaces":     {operator.Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: alice.Namespace}}, mergePatch(`{}`)), byOperatorRBAC("patch", "namespaces")},
			"rights":         {operator.Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "stolen"}}), byOperatorRBAC("create", "clusterroles")},
			"bindings":       {operator.Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "stolen"}}), byOperatorRBAC("create", "rolebindings")},
			"a UserSecret":   {operator.Patch(ctx, us.DeepCopy(), mergePatch(`{"spec":{"active":false}}`)), byWebhook("validate") + "the operator changes nothing but spec.encryptedValue"},
			"its value":      {operator.Patch(ctx, us.DeepCopy(), mergePatch(fmt.Sprintf(`{"spec":{"encryptedValue":%q}}`, sealFor(ctx, alice.Person, "openai", "another-value-0123456789")))), byWebhook("validate") + "the operator seals the same value again, and no other"},
			"the end of one": {operator.Delete(ctx, us.DeepCopy()), byOperatorRBAC("delete", "usersecrets")},
			"a new one":      {operator.Create(ctx, alice.copyFor(alice.Namespace, "more")), byOperatorRBAC("create", "usersecrets")},
			"config maps":    {operator.List(ctx, &corev1.ConfigMapList{}), byOperatorRBAC("list", "configmaps")},
		} {
			By(what)
			quiet(refusal.err, refusal.because)
		}
		alice.untouched(ctx)
	})

	// Roles are easily widened by whoever installs; the policies and the webhook hold
	// all the same, but for what reads Secrets or patches them.
	It("does no more with wider rights", func(ctx SpecContext) {
		grant(ctx, "acceptance-wider-operator",
			rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"update", "delete", "deletecollection"}},
			rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods", "namespaces"}, Verbs: []string{"create", "update", "patch"}},
			rbacv1.PolicyRule{
				APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"usersecrets"}, Verbs: []string{"create", "update", "patch"},
			})
		account := &rig.Person{Name: "system:serviceaccount:usersecrets-system:usersecret-operator", Client: operator}
		allowEverywhere(ctx, account, "acceptance-wider-operator")
		awaitGrant(ctx, account, authorizationv1.ResourceAttributes{Verb: "deletecollection", Resource: "secrets"})

		quiet(operator.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(namespace)), byPolicy("operator-secrets")+projectionsAlone)
		marks := workflowPod(alice.Namespace, "stolen", "openai")
		marks.Annotations = map[string]string{v1alpha1.ProjectionAnnotation: alice.projection.Name}
		quiet(operator.Create(ctx, marks), byPolicy("pod-metadata")+marksStamped)
		owned := fmt.Sprintf(`{"metadata":{"annotations":{%q:"system:serviceaccount:usersecrets-system:usersecret-operator"}}}`, v1alpha1.OwnerAnnotation)
		quiet(operator.Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: alice.Namespace}}, mergePatch(owned)), byPolicy("namespace-owner"))
		quiet(operator.Patch(ctx, alice.userSecret.DeepCopy(), mergePatch(`{"spec":{"active":false}}`)), byWebhook("validate")+resealsAlone)
		quiet(operator.Patch(ctx, alice.userSecret.DeepCopy(), mergePatch(`{"spec":{"value":"stolen-0123456789"}}`)), byWebhook("seal")+plaintextByOwner)
		quiet(operator.Create(ctx, alice.copyFor(alice.Namespace, "more")), byWebhook("validate")+resealsAlone)
		projection := alice.projection.DeepCopy()
		projection.OwnerReferences = nil
		quiet(operator.Update(ctx, projection), byPolicy("projections")+ownersStay)
		alice.untouched(ctx)
	})
})

func byOperatorRBAC(verb, resource string) string {
	return byRBAC(&rig.Person{Name: "system:serviceaccount:usersecrets-system:usersecret-operator"}, verb, resource)
}
