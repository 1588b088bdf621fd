package webhook

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/audit"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/inject"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/owner"
	"usersecrets.dev/operator/internal/secretvalue"
)

const (
	namespace = "alice-flows"
	operator  = "system:serviceaccount:usersecrets-system:usersecret-operator"
	gitops    = "system:serviceaccount:argocd:controller" // holds the verb delegate
	// canary is the value that must show nowhere. It matches openai's pattern.
	canary = "sk-Canary0123456789abcdef"
	other  = "sk-Other0123456789abcdefg"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// cluster is what the handlers see: a fake API server, a vault with a key, and
// everything that they write.
type cluster struct {
	t       *testing.T
	client  client.WithWatch
	keys    *keyring.Keyring
	vault   *vault
	records []audit.Record
	reviews []authorizationv1.SubjectAccessReviewSpec
	// fail, where set, is asked before every call to the API server.
	fail func(verb string, object any) error
}

// Write implements audit.Sink.
func (c *cluster) Write(r audit.Record) { c.records = append(c.records, r) }

func makeCluster(t *testing.T, objects ...client.Object) *cluster {
	t.Helper()
	c := &cluster{t: t}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, authorizationv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c.client = fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(c.funcs()).
		WithObjects(makeNamespace(namespace, "alice"), makeNamespace("unowned", "")).
		WithObjects(makeProviders()...).Build()
	c.keys = makeKeyring(t, c.client)
	for _, object := range objects {
		c.create(object)
	}
	c.vault = &vault{
		keys: c.keys, owners: &owner.Resolver{Live: c.client, Annotation: v1alpha1.OwnerAnnotation},
		requesters: &requesters{client: c.client, operator: operator},
		reader:     c.client, live: c.client, audit: c, clock: clocktesting.NewFakePassiveClock(noon),
	}
	return c
}

func makeKeyring(t *testing.T, c client.Client) *keyring.Keyring {
	t.Helper()
	root, err := keyring.ParseRootKey("8f0e4c6a2d1b3957a5c3e1f7d9b8a6042c4e6f8091a3b5c7d9ebfd1f31537597")
	if err != nil {
		t.Fatal(err)
	}
	keys := keyring.New(keyring.Config{Client: c, Namespace: "usersecrets-system", Roots: []keyring.Root{root}})
	if err := keys.Bootstrap(context.Background()); err != nil {
		t.Fatal(err)
	}
	return keys
}

// funcs answer SubjectAccessReviews, of which the fake API server knows nothing,
// and fail calls where the test asks for it.
func (c *cluster) funcs() interceptor.Funcs {
	failing := func(verb string, object any) error {
		if c.fail == nil {
			return nil
		}
		return c.fail(verb, object)
	}
	return interceptor.Funcs{
		Get: func(ctx context.Context, w client.WithWatch, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
			if err := failing("get", object); err != nil {
				return err
			}
			return w.Get(ctx, key, object, opts...)
		},
		List: func(ctx context.Context, w client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if err := failing("list", list); err != nil {
				return err
			}
			return w.List(ctx, list, opts...)
		},
		Create: func(ctx context.Context, w client.WithWatch, object client.Object, opts ...client.CreateOption) error {
			if err := failing("create", object); err != nil {
				return err
			}
			review, ok := object.(*authorizationv1.SubjectAccessReview)
			if !ok {
				return w.Create(ctx, object, opts...)
			}
			c.reviews = append(c.reviews, review.Spec)
			review.Status.Allowed = review.Spec.User == gitops
			return nil
		},
	}
}

func makeNamespace(name, owner string) *corev1.Namespace {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if owner != "" {
		ns.Annotations = map[string]string{v1alpha1.OwnerAnnotation: owner}
	}
	return ns
}

func makeProviders() []client.Object {
	provider := func(name string, types ...v1alpha1.ProviderType) client.Object {
		return &v1alpha1.SecretProvider{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.SecretProviderSpec{Types: types}}
	}
	return []client.Object{
		provider("openai", v1alpha1.ProviderType{Type: v1alpha1.TypeAPIKey, Key: "OPENAI_API_KEY", Pattern: `sk-[A-Za-z0-9]{16,}`, PatternPolicy: v1alpha1.PatternWarn}),
		provider("strict", v1alpha1.ProviderType{Type: v1alpha1.TypeAPIKey, Key: "STRICT_KEY", Pattern: `sk-[A-Za-z0-9]{16,}`, PatternPolicy: v1alpha1.PatternEnforce}),
		provider("custom", v1alpha1.ProviderType{Type: v1alpha1.TypeCustom, Key: "CUSTOM_SECRET", AllowMultiple: true}),
	}
}

// create stores a copy, since the client writes into what it is given.
func (c *cluster) create(object client.Object) {
	c.t.Helper()
	if err := c.client.Create(context.Background(), object.DeepCopyObject().(client.Object)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) seal(name, value string) string {
	c.t.Helper()
	return c.sealFor("alice", namespace, name, value)
}

func (c *cluster) sealFor(owner, namespace, name, value string) string {
	c.t.Helper()
	text, err := c.keys.Seal(envelope.Binding{Owner: owner, Namespace: namespace, Name: name}, secretvalue.FromString(value))
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

// checkOpens: a sealed value opens at its place, to want.
func (c *cluster) checkOpens(name, text, want string) {
	c.t.Helper()
	value, err := c.keys.OpenText(context.Background(), text, envelope.Binding{Owner: "alice", Namespace: namespace, Name: name})
	if err != nil || string(value.Bytes()) != want {
		c.t.Errorf("the sealed value opens to %q, error %v; want %q", value.Bytes(), err, want)
	}
}

// makeRequest is a request as the API server sends it. old is nil on CREATE; object
// is nil on DELETE.
func makeRequest(t *testing.T, user string, object, old any) admission.Request {
	t.Helper()
	req := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: "request-1", Kind: metav1.GroupVersionKind{Group: "usersecrets.dev", Version: "v1alpha1", Kind: "UserSecret"},
		Namespace: namespace, Name: "openai", UserInfo: authenticationv1.UserInfo{Username: user}, Operation: admissionv1.Create,
	}}
	if object != nil {
		req.Object.Raw = encode(t, object)
	}
	if old != nil {
		req.OldObject.Raw, req.Operation = encode(t, old), admissionv1.Update
	}
	if object == nil {
		req.Operation = admissionv1.Delete
	}
	return req
}

func encode(t *testing.T, object any) []byte {
	t.Helper()
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

var limits = inject.Limits{MaxTTL: time.Hour}
