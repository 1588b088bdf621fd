package certificates_test

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/api/v1alpha1"
)

const reached = "the webhook was called"

// refuser says that it was called.
type refuser struct{}

func (refuser) Handle(context.Context, admission.Request) admission.Response {
	return admission.Denied(reached)
}

func toUnstructured(object client.Object) (*unstructured.Unstructured, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	return &unstructured.Unstructured{Object: fields}, err
}

func freePort() int {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}

// run starts a manager with the replica in it, as cmd does, and stops it after the spec.
func run(ctx context.Context, r *replica, port int) {
	GinkgoHelper()
	Expect(r.Ensure(ctx)).To(Succeed())
	start(r, port)
}

func start(r *replica, port int) {
	GinkgoHelper()
	readBefore := r.reads.Load()
	server := webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, TLSOpts: []func(*tls.Config){
		func(c *tls.Config) { c.GetCertificate = r.GetCertificate },
	}})
	mgr, err := ctrl.NewManager(operatorConfig, ctrl.Options{
		Scheme: scheme.Scheme, WebhookServer: server, Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)},
		// A leader election that nobody can win: the rotator must not wait for it.
		LeaderElection: true, LeaderElectionID: "nobody", LeaderElectionNamespace: namespace,
	})
	Expect(err).NotTo(HaveOccurred())
	mgr.GetWebhookServer().Register("/validate", &admission.Webhook{Handler: refuser{}})
	Expect(r.SetupWithManager(mgr)).To(Succeed())

	running, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(running) }()
	DeferCleanup(func() {
		stop()
		Eventually(stopped).Should(Receive(BeNil()))
	})
	Eventually(func() error { return server.StartedChecker()(nil) }).Should(Succeed())
	// Its first turn comes when the watches are there, and would hide that a later event rang no bell.
	Eventually(r.reads.Load).Should(BeNumerically(">", readBefore))
	quiet(r)
}

// quiet waits until the replica has taken no turn for 25 polls, half a second.
func quiet(r *replica) {
	GinkgoHelper()
	last, same := r.reads.Load(), 0
	Eventually(func() int {
		now := r.reads.Load()
		if same++; now != last {
			last, same = now, 0
		}
		return same
	}).Should(BeNumerically(">=", 25))
}

// called sees whether the API server can call the webhook: only then is a ConfigMap refused with its words.
func called(ctx context.Context) func() error {
	return func() error {
		return admin.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "probe-"}}, client.DryRunAll)
	}
}

var _ = Describe("A running operator", func() {
	var a, b *replica

	// The replicas' clocks begin nine months ago, so that the CA's change comes at the API server's own time.
	BeforeEach(func(ctx context.Context) {
		port := freePort()
		Expect(admin.Create(ctx, mutating())).To(Succeed())
		v := validating()
		v.Webhooks[0].FailurePolicy = new(admissionv1.Fail)
		v.Webhooks[0].ClientConfig = admissionv1.WebhookClientConfig{URL: new("https://127.0.0.1:" + strconv.Itoa(port) + "/validate")}
		Expect(admin.Create(ctx, v)).To(Succeed())
		past := time.Now().Add(-untilRenewal)
		a, b = newReplica(past), newReplica(past)
		founder := newReplica(past)
		Expect(founder.Ensure(ctx)).To(Succeed())
		a.clock.SetTime(time.Now().Add(-2 * overlap))
		b.clock.SetTime(time.Now().Add(-2 * overlap))
		run(ctx, a, port)
		run(ctx, b, freePort())
		Eventually(called(ctx)).Should(MatchError(ContainSubstring(reached)))
		quiet(a)
	})

	// nudge has both replicas look: their timers run by the real clock.
	nudge := func(ctx context.Context) {
		GinkgoHelper()
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"example.com/nudge":"`+time.Now().String()+`"}}}`))
		Expect(admin.Patch(ctx, caSecret(), patch)).To(Succeed())
	}

	It("puts the bundle back and is called again", func(ctx context.Context) {
		v := validating()
		Expect(admin.Get(ctx, client.ObjectKeyFromObject(v), v)).To(Succeed())
		want := v.Webhooks[0].ClientConfig.CABundle
		v.Webhooks[0].ClientConfig.CABundle = nil
		Expect(admin.Update(ctx, v)).To(Succeed())
		Eventually(func() []byte {
			Expect(admin.Get(ctx, client.ObjectKeyFromObject(v), v)).To(Succeed())
			return v.Webhooks[0].ClientConfig.CABundle
		}).Should(Equal(want))
		Eventually(called(ctx)).Should(MatchError(ContainSubstring(reached)))
	})

	It("notices configurations that come and go", func(ctx context.Context) {
		Eventually(a.Ready).Should(Succeed())
		Expect(admin.Delete(ctx, mutating())).To(Succeed())
		Eventually(a.Ready).Should(MatchError(ContainSubstring("there is no MutatingWebhookConfiguration " + v1alpha1.OperatorName)))
		Expect(admin.Create(ctx, mutating())).To(Succeed())
		Eventually(a.Ready).Should(Succeed())
		Eventually(b.Ready).Should(Succeed())
	})

	It("makes a new CA where its Secret is deleted, and is called again", func(ctx context.Context) {
		before := storedSecret(ctx)
		Expect(admin.Delete(ctx, before.DeepCopy())).To(Succeed())
		Eventually(func() ([]byte, error) {
			secret := caSecret()
			err := admin.Get(ctx, client.ObjectKeyFromObject(secret), secret)
			return secret.Data["tls.crt"], err
		}).ShouldNot(Or(BeEmpty(), Equal(before.Data["tls.crt"])))
		Eventually(called(ctx)).Should(MatchError(ContainSubstring(reached)))
		Eventually(b.Ready).Should(Succeed())
	})

	It("is called throughout a CA's change", func(ctx context.Context) {
		first := storedSecret(ctx)
		nudge(ctx)
		Eventually(func() map[string][]byte { return storedSecret(ctx).Data }).Should(HaveKey("next.published"))
		Expect(called(ctx)()).To(MatchError(ContainSubstring(reached)))

		for _, r := range []*replica{a, b} {
			r.clock.SetTime(r.clock.Now().Add(overlap + time.Minute))
		}
		nudge(ctx)
		Eventually(func() []byte { return storedSecret(ctx).Data["tls.crt"] }).ShouldNot(Equal(first.Data["tls.crt"]))
		Eventually(func() error { return a.leaf().CheckSignatureFrom(parse(storedSecret(ctx).Data["tls.crt"])[0]) }).Should(Succeed())
		Expect(called(ctx)()).To(MatchError(ContainSubstring(reached)))
		Expect(a.Ready()).To(Succeed())
	})

	It("writes nothing at rest", func(ctx context.Context) {
		versions := func() []string {
			m, v := mutating(), validating()
			Expect(admin.Get(ctx, client.ObjectKeyFromObject(m), m)).To(Succeed())
			Expect(admin.Get(ctx, client.ObjectKeyFromObject(v), v)).To(Succeed())
			return []string{storedSecret(ctx).ResourceVersion, m.ResourceVersion, v.ResourceVersion}
		}
		Eventually(func() map[string][]byte { return storedSecret(ctx).Data }).Should(HaveKey("next.published"))
		settled := versions()
		Consistently(versions, time.Second).Should(Equal(settled))
	})
})

var _ = Describe("An operator that starts", func() {
	It("makes a CA though nothing that it watches exists any more", func(ctx context.Context) {
		r := newReplica(time.Now())
		Expect(r.Ensure(ctx)).To(Succeed())
		Expect(admin.Delete(ctx, caSecret())).To(Succeed())
		start(r, freePort())
		Eventually(func() error {
			return admin.Get(ctx, client.ObjectKeyFromObject(caSecret()), caSecret())
		}).Should(Succeed())
	})
})
