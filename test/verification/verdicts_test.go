package verification_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

var _ = Describe("A value and its provider", Ordered, func() {
	var (
		alice                 *rig.Person
		api, faint            *provider
		key, bad, away, alone *v1alpha1.UserSecret
		asked                 = func() int64 { return api.asked.Load() }
		events                = func(ctx context.Context, us *v1alpha1.UserSecret, reason string) func() ([]string, error) {
			return func() ([]string, error) {
				var all eventsv1.EventList
				err := product.Client.List(ctx, &all, client.InNamespace(us.Namespace))
				var notes []string
				for i := range all.Items {
					if e := &all.Items[i]; e.Regarding.Name == us.Name && e.Reason == reason {
						notes = append(notes, e.Type+" "+e.Note)
					}
				}
				return notes, err
			}
		}
	)
	BeforeAll(func(ctx SpecContext) {
		alice = onboard(ctx, "alice")
		api, faint = serve(), serve()
		faint.ill.Store(true)
		catalogue(ctx, "api", api.test())
		catalogue(ctx, "faint", faint.test())
		catalogue(ctx, "untested", nil)
		away = store(ctx, alice, "away", "faint", good)
		key = store(ctx, alice, "key", "api", good)
		bad = store(ctx, alice, "bad", "api", canary)
		alone = store(ctx, alice, "alone", "untested", good)
	}, NodeTimeout(startTime))

	It("is told of by a verdict, and an Event", func(ctx SpecContext) {
		Eventually(verdict(ctx, key)).Should(Equal("Accepted"))
		Eventually(verdict(ctx, bad)).Should(Equal("Rejected"))
		Eventually(verdict(ctx, away)).Should(Equal("Unreachable"))
		Eventually(verdict(ctx, alone)).Should(Equal("NotTestable"))
		Eventually(events(ctx, key, "Accepted")).Should(ConsistOf(HavePrefix("Normal ")))
		Eventually(events(ctx, bad, "Rejected")).Should(ConsistOf(HavePrefix("Warning ")))
		Expect(asked()).To(BeEquivalentTo(2))
		Expect(get(ctx, away).Status.Verification.NextAttemptAt).NotTo(BeNil())
		faint.ill.Store(false) // the last spec but one sees it asked again
	})

	It("is given to pods whatever the verdict is", func(ctx SpecContext) {
		pod := rig.WorkflowPod("alice", "step", "name:bad=BAD, name:away=AWAY")
		Expect(alice.Client.Create(ctx, pod)).NotTo(Succeed(), "the shipped role gives no right to pods")
		Expect(product.Client.Create(ctx, pod)).To(Succeed())
		secret := &corev1.Secret{}
		Eventually(func() error {
			return product.Client.Get(ctx, types.NamespacedName{Namespace: "alice", Name: pod.Annotations[v1alpha1.ProjectionAnnotation]}, secret)
		}).Should(Succeed())
		Expect(secret.Data).To(Equal(map[string][]byte{"BAD": []byte(canary), "AWAY": []byte(good)}))
		for _, us := range []*v1alpha1.UserSecret{bad, away} {
			Expect(reasonOf(get(ctx, us), v1alpha1.ConditionReady)).To(Equal("Ready"))
		}
		Expect(product.Client.Delete(ctx, pod)).To(Succeed())
		Eventually(func() error { return product.Client.Get(ctx, client.ObjectKeyFromObject(secret), secret) }).ShouldNot(Succeed())
	})

	It("is tested when it is another one", func(ctx SpecContext) {
		before := asked()
		replace(ctx, alice, key, canary)
		Eventually(verdict(ctx, key)).Should(Equal("Rejected"))
		Eventually(events(ctx, key, "Rejected")).Should(HaveLen(1))
		replace(ctx, alice, key, good)
		Eventually(verdict(ctx, key)).Should(Equal("Accepted"))
		Expect(asked()).To(Equal(before + 2))
	})

	It("is not tested when it is sealed again by a rotation", func(ctx SpecContext) {
		before, sealed := asked(), get(ctx, key).Spec.EncryptedValue
		Expect(product.Kubectl(ctx, product.AdminKubeconfig, nil, "usersecret", "keys", "rotate", "--watch").Err()).NotTo(HaveOccurred())
		Expect(get(ctx, key).Spec.EncryptedValue).NotTo(Equal(sealed))
		Consistently(asked).Should(Equal(before))
		Expect(verdict(ctx, key)()).To(Equal("Accepted"))
	})

	It("is left alone by an operator that starts, which writes nothing", func(ctx SpecContext) {
		before, written := asked(), map[types.NamespacedName]string{}
		Eventually(func(g Gomega) {
			var err error
			written, err = versions(ctx, "alice")()
			g.Expect(err).NotTo(HaveOccurred())
			time.Sleep(time.Second)
			g.Expect(versions(ctx, "alice")()).To(Equal(written))
		}).Should(Succeed())
		Expect(product.StopOperator()).To(Succeed())
		Expect(product.StartOperator(ctx)).To(Succeed())
		delete(written, client.ObjectKeyFromObject(away)) // its retry is due some day
		Consistently(func() (map[types.NamespacedName]string, error) {
			now, err := versions(ctx, "alice")()
			delete(now, client.ObjectKeyFromObject(away))
			return now, err
		}).WithTimeout(3 * awhile).Should(Equal(written))
		Expect(asked()).To(Equal(before))
	}, SpecTimeout(3*time.Minute))

	It("is tested when its owner asks, with the plugin", func(ctx SpecContext) {
		before := asked()
		result := plugin(ctx, alice, "test", "key")
		Expect(result.Err()).NotTo(HaveOccurred())
		Expect(result.Stdout).To(HavePrefix("usersecret.usersecrets.dev/key accepted: "))
		Expect(asked()).To(Equal(before + 1))
		result = plugin(ctx, alice, "test", "key", "bad", "alone")
		Expect(result.ExitCode).To(Equal(1))
		Expect(result.Stdout).To(MatchRegexp(`(?s)^usersecret.usersecrets.dev/key accepted: .*/bad rejected: .*/alone not testable: `))
		Expect(asked()).To(Equal(before + 3))
	})

	It("is tested before the plugin stores it, where that is asked for", func(ctx SpecContext) {
		result := plugin(ctx, alice, "create", "tried", "--provider=api", "--from-env=BAD", "--test", "--display-name=tried")
		Expect(result.ExitCode).To(Equal(1))
		Expect(result.Stderr).To(ContainSubstring("the value was not stored: "))
		Expect(result.Stdout + result.Stderr).NotTo(ContainSubstring(canary))
		tried := &v1alpha1.UserSecret{}
		Expect(client.IgnoreNotFound(product.Client.Get(ctx, types.NamespacedName{Namespace: "alice", Name: "tried"}, tried))).To(Succeed())
		Expect(tried.Name).To(BeEmpty())
		Expect(plugin(ctx, alice, "create", "tried", "--provider=api", "--from-env=VALUE", "--test").Err()).NotTo(HaveOccurred())
		Expect(product.Client.Get(ctx, types.NamespacedName{Namespace: "alice", Name: "tried"}, tried)).To(Succeed())
		Eventually(verdict(ctx, tried)).Should(Equal("Accepted"))
	})

	It("is not tested where its owner wants no tests", func(ctx SpecContext) {
		setMode(ctx, alice, key, v1alpha1.VerifyDisabled)
		Eventually(verdict(ctx, key)).Should(BeEmpty())
		Expect(get(ctx, key).Status.Verification.ValueID).To(BeEmpty())
		before := asked()
		ask(ctx, alice, key)
		replace(ctx, alice, key, good+"-")
		Consistently(asked).Should(Equal(before))
		setMode(ctx, alice, key, v1alpha1.VerifyOnDemand)
		replace(ctx, alice, key, good)
		ask(ctx, alice, key)
		Eventually(verdict(ctx, key)).Should(Equal("Accepted"))
	})

	It("is refused a request that is no time", func(ctx SpecContext) {
		result := alice.Kubectl(ctx, "", "annotate", "usersecret", "key", "--overwrite", v1alpha1.VerifyRequestedAtAnnotation+"=now")
		Expect(result.Err()).To(MatchError(ContainSubstring("usersecrets.dev/verify-requested-at is no time")))
	})

	It("is tested where the catalogue has a test since", func(ctx SpecContext) {
		setTest(ctx, "untested", api.test())
		Eventually(verdict(ctx, alone)).Should(Equal("Accepted"))
	})

	It("is tested again by itself where the provider was away", func(ctx SpecContext) {
		Eventually(verdict(ctx, away)).WithTimeout(retried).Should(Equal("Accepted"))
		Expect(get(ctx, away).Status.Verification.Attempts).To(BeZero())
	}, SpecTimeout(3*time.Minute))

	It("leaves no trace of itself", func(ctx SpecContext) {
		text := everything(ctx)
		Expect(text).To(ContainSubstring("did not accept"), "what is looked at holds the verdicts")
		for _, form := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary)), url.QueryEscape(canary), hex.EncodeToString([]byte(canary)), canary[3:20]} {
			Expect(strings.Contains(text, form)).To(BeFalse())
		}
	})
})

func setTest(ctx context.Context, name string, test *v1alpha1.ProviderTest) {
	GinkgoHelper()
	p := &v1alpha1.SecretProvider{}
	Expect(product.Client.Get(ctx, types.NamespacedName{Name: name}, p)).To(Succeed())
	p.Spec.Types[0].Test = test
	Expect(product.Client.Update(ctx, p)).To(Succeed())
}

// everything is all that is kept or told: objects, Events, logs and metrics.
func everything(ctx context.Context) string {
	GinkgoHelper()
	var text strings.Builder
	for _, list := range []client.ObjectList{&v1alpha1.UserSecretList{}, &eventsv1.EventList{}, &corev1.SecretList{}} {
		Expect(product.Client.List(ctx, list)).To(Succeed())
		encoded, err := json.Marshal(list)
		Expect(err).NotTo(HaveOccurred())
		text.Write(encoded)
	}
	logs, err := os.ReadDir(product.Logs())
	Expect(err).NotTo(HaveOccurred())
	for _, log := range logs {
		content, err := os.ReadFile(product.Logs() + "/" + log.Name())
		Expect(err).NotTo(HaveOccurred())
		text.Write(content)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, product.MetricsURL(), nil)
	Expect(err).NotTo(HaveOccurred())
	response, err := http.DefaultClient.Do(request)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = response.Body.Close() }()
	metrics, err := io.ReadAll(response.Body)
	Expect(err).NotTo(HaveOccurred())
	Expect(string(metrics)).To(ContainSubstring(`usersecret_verifications_total{result="Accepted"}`))
	text.Write(metrics)
	return text.String()
}
