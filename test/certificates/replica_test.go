package certificates_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/certificates"
)

const (
	day           = 24 * time.Hour
	servingThirds = 5 * day // past two thirds of a serving certificate's 7 days
	overlap       = time.Hour
)

// untilRenewal is past two thirds of a CA's year.
const untilRenewal = 245 * day

// replica is a rotator with a clock of its own. It writes as the operator's user.
type replica struct {
	*certificates.Rotator
	clock  *clocktesting.FakePassiveClock
	writes []string     // verb and kind
	reads  atomic.Int64 // of the Secret: one each turn
	// before, where set, runs before every request; its error becomes the answer.
	before func(ctx context.Context, verb string, object client.Object) error
}

func newReplica(now time.Time) *replica {
	GinkgoHelper()
	r := &replica{clock: clocktesting.NewFakePassiveClock(now)}
	direct, err := client.NewWithWatch(operatorConfig, client.Options{Scheme: scheme.Scheme})
	Expect(err).NotTo(HaveOccurred())
	r.Rotator, err = certificates.New(interceptor.NewClient(direct, r.interceptions()), certificates.Options{
		Namespace: namespace, Service: service, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Clock: r.clock,
	})
	Expect(err).NotTo(HaveOccurred())
	return r
}

func (r *replica) interceptions() interceptor.Funcs {
	return interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			return r.request(ctx, "get", o, func() error { return c.Get(ctx, key, o, opts...) })
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return r.request(ctx, "create", o, func() error { return c.Create(ctx, o, opts...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return r.request(ctx, "update", o, func() error { return c.Update(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return r.request(ctx, "patch", o, func() error { return c.Patch(ctx, o, p, opts...) })
		},
	}
}

func (r *replica) request(ctx context.Context, verb string, object client.Object, do func() error) error {
	if verb == "get" && kindOf(object) == "Secret" {
		r.reads.Add(1)
	}
	if verb != "get" {
		r.writes = append(r.writes, verb+" "+kindOf(object))
	}
	if r.before != nil {
		if err := r.before(ctx, verb, object); err != nil {
			return err
		}
	}
	return do()
}

// atFirst runs do before the first request of that verb and kind.
func (r *replica) atFirst(wantVerb, wantKind string, do func(context.Context)) {
	done := false
	r.before = func(ctx context.Context, verb string, object client.Object) error {
		if !done && verb == wantVerb && kindOf(object) == wantKind {
			done = true
			do(ctx)
		}
		return nil
	}
}

// turn reconciles, which must succeed, and returns when it wants to be called again.
func (r *replica) turn(ctx context.Context) time.Duration {
	GinkgoHelper()
	result, err := r.Reconcile(ctx, reconcile.Request{})
	Expect(err).NotTo(HaveOccurred())
	return result.RequeueAfter
}

func (r *replica) leaf() *x509.Certificate {
	GinkgoHelper()
	serving, err := r.GetCertificate(&tls.ClientHelloInfo{})
	Expect(err).NotTo(HaveOccurred())
	return serving.Leaf
}

// believed verifies the replica's certificate as API servers do, by every configuration's every caBundle.
func (r *replica) believed(ctx context.Context) {
	GinkgoHelper()
	for _, bundle := range bundles(ctx) {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(bundle)
		for _, name := range []string{service + "." + namespace + ".svc", "127.0.0.1"} {
			_, err := r.leaf().Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: r.clock.Now()})
			Expect(err).NotTo(HaveOccurred())
		}
	}
}

func kindOf(object client.Object) string {
	GinkgoHelper()
	gvk, err := admin.GroupVersionKindFor(object)
	Expect(err).NotTo(HaveOccurred())
	return gvk.Kind
}

func storedSecret(ctx context.Context) *corev1.Secret {
	GinkgoHelper()
	secret := caSecret()
	Expect(admin.Get(ctx, client.ObjectKeyFromObject(secret), secret)).To(Succeed())
	return secret
}

// bundles are the caBundles of all webhooks: two mutating ones and a validating one.
func bundles(ctx context.Context) [][]byte {
	GinkgoHelper()
	m, v := mutating(), validating()
	Expect(admin.Get(ctx, client.ObjectKey{Name: v1alpha1.OperatorName}, m)).To(Succeed())
	Expect(admin.Get(ctx, client.ObjectKey{Name: v1alpha1.OperatorName}, v)).To(Succeed())
	var all [][]byte
	for _, w := range m.Webhooks {
		all = append(all, w.ClientConfig.CABundle)
	}
	for _, w := range v.Webhooks {
		all = append(all, w.ClientConfig.CABundle)
	}
	return all
}

func parse(text []byte) []*x509.Certificate {
	GinkgoHelper()
	var all []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		Expect(err).NotTo(HaveOccurred())
		all = append(all, c)
	}
	return all
}
