package acceptance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/test/rig"
)

// place is somewhere that a value could come to lie.
type place struct {
	name    string
	content []byte
}

// places are all that can be read of the product from outside: what etcd holds
// now, every object as the API gives it, every log, the API server's audit log,
// metrics, what kubectl and its plugin keep on a user's machine, and the answers
// that users got on the way.
func places(ctx context.Context, answers string) []place {
	GinkgoHelper()
	all := []place{{"answers", []byte(answers)}, {"metrics of the operator", []byte(operatorMetrics(ctx))}}
	dump, err := product.DumpEtcd(ctx)
	Expect(err).NotTo(HaveOccurred())
	for stored, content := range dump {
		all = append(all, place{"etcd " + stored, slices.Concat([]byte(stored), content)})
	}
	api := discovery.NewDiscoveryClientForConfigOrDie(product.Admin())
	metrics, err := api.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	Expect(err).NotTo(HaveOccurred())
	all = append(all, place{"metrics of the API server", metrics})
	all = append(all, files("log ", product.Logs())...)
	all = append(all, files("home ", filepath.Join(filepath.Dir(product.Logs()), "state", "home"))...)
	return append(all, objects(ctx, api)...)
}

// files are the files of a folder and those below it.
func files(prefix, folder string) []place {
	GinkgoHelper()
	var found []place
	Expect(filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		found = append(found, place{prefix + strings.TrimPrefix(path, folder+"/"), content})
		return err
	})).To(Succeed())
	return found
}

// objects are all objects of every version of every kind, as JSON.
func objects(ctx context.Context, api *discovery.DiscoveryClient) []place {
	GinkgoHelper()
	_, lists, err := api.ServerGroupsAndResources()
	Expect(err).NotTo(HaveOccurred())
	var found []place
	for _, list := range lists {
		for _, resource := range list.APIResources {
			if !slices.Contains(resource.Verbs, "list") {
				continue
			}
			root := "/apis/"
			if list.GroupVersion == "v1" {
				root = "/api/"
			}
			raw, err := api.RESTClient().Get().AbsPath(root + list.GroupVersion + "/" + resource.Name).DoRaw(ctx)
			Expect(err).NotTo(HaveOccurred(), "listing %s of %s", resource.Name, list.GroupVersion)
			found = append(found, itemsOf("object "+list.GroupVersion+" "+resource.Name+" ", raw)...)
		}
	}
	return found
}

func itemsOf(prefix string, raw []byte) []place {
	GinkgoHelper()
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	Expect(json.Unmarshal(raw, &list)).To(Succeed())
	found := make([]place, 0, len(list.Items))
	for _, item := range list.Items {
		var object metav1.PartialObjectMetadata
		Expect(json.Unmarshal(item, &object)).To(Succeed())
		found = append(found, place{prefix + object.Namespace + "/" + object.Name, item})
	}
	return found
}

// findings are the places in which each secret lies, by its label.
type findings map[string][]string

func scan(s *scanner, all []place) findings {
	found := findings{}
	for _, p := range all {
		for label := range s.find(p.content) {
			found[label] = append(found[label], p.name)
		}
	}
	for label := range found {
		slices.Sort(found[label])
	}
	return found
}

// live is where the value of a projection lies while its pod does: in etcd, and
// in the one object.
func live(secret *corev1.Secret) []string {
	at := secret.Namespace + "/" + secret.Name
	return []string{"etcd /registry/secrets/" + at, "object v1 secrets " + at}
}

var _ = Describe("A scan for canaries", func() {
	// A word that is planted by the way that leads to each place. Names of objects
	// are in lower case, and longer than a scanner's fragment.
	It("reads every place", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		word := fmt.Sprintf("planted-%x", binary(16))
		answers := plant(ctx, alice, word)
		s := newScanner(map[string]string{"word": word})
		Eventually(func() []string { return scan(s, places(ctx, answers))["word"] }).Should(And(ContainElements(
			"answers",
			"etcd /registry/configmaps/"+alice.Namespace+"/planted",
			"object v1 configmaps "+alice.Namespace+"/planted",
			"object v1 events "+alice.Namespace+"/planted",
			"object events.k8s.io/v1 events "+alice.Namespace+"/planted",
			"log audit.log", "log planted.log",
			"metrics of the API server",
			"home planted",
		), ContainElement(MatchRegexp(`^log operator-\d+\.log$`))))
		byName := map[string]string{}
		for _, p := range places(ctx, answers) {
			byName[p.name] = string(p.content)
		}
		Expect(byName["metrics of the operator"]).To(ContainSubstring(`controller_runtime_reconcile_total{controller="projection"`))
		Expect(byName["log kube-apiserver.log"]).To(ContainSubstring("Serving securely"))
		Expect(byName["log kube-controller-manager.log"]).To(ContainSubstring("garbage-collector"))
		Expect(byName["log etcd.log"]).To(ContainSubstring("ready to serve client requests"))
		Expect(byName["object usersecrets.dev/v1alpha1 sealingkeys "+alice.Namespace+"/sealing-key"]).To(ContainSubstring("managedFields"))
	})
})

// plant puts a word into every place that one can put something into, and
// returns the answers in which it stands.
func plant(ctx context.Context, alice *rig.Person, word string) string {
	GinkgoHelper()
	meta := metav1.ObjectMeta{Namespace: alice.Namespace, Name: "planted"}
	for _, object := range []client.Object{
		&corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"word": word}},
		&eventsv1.Event{
			ObjectMeta: meta, Note: word, Reason: "Planted", Action: "Plant", Type: corev1.EventTypeNormal, EventTime: metav1.NowMicro(),
			ReportingController: "acceptance", ReportingInstance: "acceptance", Regarding: corev1.ObjectReference{Namespace: alice.Namespace},
		},
		// A level's name is a label of the API server's metrics.
		&flowcontrolv1.PriorityLevelConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: word},
			Spec: flowcontrolv1.PriorityLevelConfigurationSpec{
				Type: flowcontrolv1.PriorityLevelEnablementLimited,
				Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
					NominalConcurrencyShares: ptr.To[int32](1),
					LimitResponse:            flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject},
				},
			},
		},
	} {
		Expect(product.Client.Create(ctx, object)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(client.IgnoreNotFound(product.Client.Delete(ctx, object))).To(Succeed()) })
	}
	home := filepath.Join(filepath.Dir(product.Logs()), "state", "home")
	for _, path := range []string{filepath.Join(product.Logs(), "planted.log"), filepath.Join(home, "planted")} {
		Expect(os.MkdirAll(filepath.Dir(path), 0o700)).To(Succeed())
		Expect(os.WriteFile(path, []byte(word), 0o600)).To(Succeed())
		DeferCleanup(os.Remove, path)
	}
	// The operator's log says what it refused, by name; so does the answer.
	result := alice.Kubectl(ctx, manifest(alice.Namespace, word, map[string]any{"provider": "nobodys", "type": "custom", "value": "some value"}, nil), "create", "-f", "-")
	Expect(result.Err()).To(MatchError(ContainSubstring(`unknown provider "nobodys"`)))
	result = alice.Kubectl(ctx, "", "get", "usersecret", word)
	Expect(result.Err()).To(MatchError(ContainSubstring("not found")))
	return result.Stderr
}

// manifest is a UserSecret as kubectl takes it.
func manifest(namespace, name string, spec map[string]any, metadata map[string]any) string {
	GinkgoHelper()
	meta := map[string]any{"namespace": namespace, "name": name}
	for key, value := range metadata {
		meta[key] = value
	}
	text, err := json.Marshal(map[string]any{"apiVersion": "usersecrets.dev/v1alpha1", "kind": "UserSecret", "metadata": meta, "spec": spec})
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}
