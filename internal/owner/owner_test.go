package owner_test

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/owner"
)

const namespace = "alice-flows"

// reader knows one namespace with the given annotations, and counts reads. Its
// error, where set, is the answer to all.
type reader struct {
	client.Reader
	reads int
	err   error
}

func makeReader(annotations map[string]string) *reader {
	r := &reader{}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Annotations: annotations}}
	r.Reader = fake.NewClientBuilder().WithObjects(ns).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
			if r.reads++; r.err != nil {
				return r.err
			}
			return c.Get(ctx, key, object, opts...)
		},
	}).Build()
	return r
}

func ownedBy(name string) *reader {
	return makeReader(map[string]string{v1alpha1.OwnerAnnotation: name, "owner": "bob"})
}

func failing() *reader {
	r := ownedBy("nobody")
	r.err = errors.New("the API server is down")
	return r
}

// nothing knows no namespace at all.
func nothing() *reader {
	return &reader{Reader: fake.NewClientBuilder().Build()}
}

func TestOf(t *testing.T) {
	const none = `namespace has no owner: "alice-flows" carries no annotation usersecrets.dev/owner; an administrator sets it with 'kubectl usersecret onboard'`
	tests := map[string]struct {
		cache, live *reader
		annotation  string
		wantOwner   string
		wantNone    bool
		wantError   string
		wantLive    int // live reads
	}{
		"the cache knows":             {cache: ownedBy("alice"), live: ownedBy("bob"), wantOwner: "alice"},
		"the cache lags behind":       {cache: nothing(), live: ownedBy("alice"), wantOwner: "alice", wantLive: 1},
		"the cache has no owner yet":  {cache: makeReader(nil), live: ownedBy("alice"), wantOwner: "alice", wantLive: 1},
		"the cache is not filled yet": {cache: failing(), live: ownedBy("alice"), wantOwner: "alice", wantLive: 1},
		"no cache":                    {live: ownedBy("alice"), wantOwner: "alice", wantLive: 1},
		"another annotation":          {cache: ownedBy("alice"), live: ownedBy("alice"), annotation: "owner", wantOwner: "bob"},
		"no annotation":               {cache: makeReader(nil), live: makeReader(nil), wantNone: true, wantError: none, wantLive: 1},
		"other annotations":           {cache: makeReader(nil), live: makeReader(map[string]string{"owner": "alice"}), wantNone: true, wantError: none, wantLive: 1},
		"an empty annotation":         {live: ownedBy(""), wantNone: true, wantError: none, wantLive: 1},
		"no namespace": {
			cache: nothing(), live: nothing(), wantNone: true,
			wantError: `namespace has no owner: namespace "alice-flows" does not exist`,
		},
		"out of reach": {
			cache: makeReader(nil), live: failing(),
			wantError: `reading namespace "alice-flows": the API server is down`, wantLive: 1,
		},
		"another annotation, missing": {
			live: makeReader(nil), annotation: "owner", wantNone: true, wantLive: 1,
			wantError: `namespace has no owner: "alice-flows" carries no annotation owner; an administrator sets it with 'kubectl usersecret onboard'`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			resolver := &owner.Resolver{Live: tt.live, Annotation: v1alpha1.OwnerAnnotation}
			if tt.cache != nil {
				resolver.Cache = tt.cache
			}
			if tt.annotation != "" {
				resolver.Annotation = tt.annotation
			}
			got, err := resolver.Of(context.Background(), namespace)
			if got != tt.wantOwner || errors.Is(err, owner.ErrNone) != tt.wantNone || text(err) != tt.wantError {
				t.Errorf("Of = %q, error %v;\nwant %q, %s", got, err, tt.wantOwner, tt.wantError)
			}
			if tt.live.reads != tt.wantLive {
				t.Errorf("%d live reads, want %d", tt.live.reads, tt.wantLive)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Only metadata is asked for, as it is what the caches hold.
func TestMetadata(t *testing.T) {
	if gvk := owner.Metadata().GroupVersionKind(); gvk != corev1.SchemeGroupVersion.WithKind("Namespace") {
		t.Errorf("asks for %s", gvk)
	}
}
