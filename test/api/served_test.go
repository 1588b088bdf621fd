package api_test

import (
	"maps"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"

	"usersecrets.dev/operator/api/v1alpha1"
)

// served is what kubectl goes by when somebody names a kind.
type served struct {
	kind       string
	shortNames []string
	singular   string
	namespaced bool
}

var _ = Describe("What is served", func() {
	var resources map[string]metav1.APIResource

	BeforeEach(func() {
		client, err := discovery.NewDiscoveryClientForConfig(controlPlane.Admin())
		Expect(err).NotTo(HaveOccurred())
		found, err := client.ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
		Expect(err).NotTo(HaveOccurred())
		resources = map[string]metav1.APIResource{}
		for _, resource := range found.APIResources {
			resources[resource.Name] = resource
		}
	})

	It("are four kinds, and a status of the two that have one", func() {
		Expect(slices.Collect(maps.Keys(resources))).To(ConsistOf(
			"usersecrets", "usersecrets/status", "encryptionkeys", "encryptionkeys/status", "secretproviders", "sealingkeys"))
	})

	DescribeTable("has names and a scope", func(name string, want served) {
		got := resources[name]
		Expect(served{got.Kind, got.ShortNames, got.SingularName, got.Namespaced}).To(Equal(want))
		Expect(got.Categories).To(HaveExactElements("usersecret-operator"))
		Expect(got.Verbs).To(ConsistOf("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"))
	},
		Entry("UserSecret", "usersecrets", served{"UserSecret", []string{"usec"}, "usersecret", true}),
		Entry("SecretProvider", "secretproviders", served{"SecretProvider", []string{"sprov"}, "secretprovider", false}),
		Entry("EncryptionKey", "encryptionkeys", served{"EncryptionKey", []string{"ekey"}, "encryptionkey", false}),
		Entry("SealingKey", "sealingkeys", served{"SealingKey", []string{"skey"}, "sealingkey", true}),
	)

	DescribeTable("a status can be read and written, and no more", func(name string) {
		Expect(resources[name].Verbs).To(ConsistOf("get", "patch", "update"))
	},
		Entry("UserSecret", "usersecrets/status"),
		Entry("EncryptionKey", "encryptionkeys/status"),
	)
})
