package api_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// asTable is the request that kubectl get makes: the API server, not kubectl, fills the columns.
const asTable = "application/json;as=Table;v=v1;g=meta.k8s.io"

var _ = Describe("What kubectl get shows", func() {
	DescribeTable("has columns, those of -o wide last", func(ctx context.Context, resource string, narrow, wide []string) {
		table := tableOf(ctx, resource)
		Expect(columns(table, 0)).To(Equal(narrow))
		Expect(columns(table, 1)).To(Equal(wide))
	},
		Entry("UserSecrets", "usersecrets",
			[]string{"Name", "Provider", "Type", "Masked", "Ready", "Verified", "Uses", "Last-Used", "Expires", "Age"}, []string{"Key", "Reason"}),
		Entry("SecretProviders", "secretproviders",
			[]string{"Name", "Display-Name", "Category", "Default-Type", "Default-Key", "Age"}, []string{"Docs"}),
		Entry("EncryptionKeys", "encryptionkeys", []string{"Name", "Key", "Phase", "Secrets", "Progress", "Age"}, []string{"Root-Key", "Reason"}),
		Entry("SealingKeys", "sealingkeys", []string{"Name", "Owner", "Key", "Fingerprint", "Age"}, nil),
	)

	It("of a UserSecret that is in use", func(ctx context.Context) {
		o := stored(ctx, userSecret)
		put(o, "spec.expiresAt", "2099-01-02T03:04:05Z")
		Expect(admin.Update(ctx, o)).To(Succeed())
		verified := condition("Verified")
		verified["status"] = "Unknown"
		put(o, "status", fields{
			"masked": "........7QKA", "keyID": "v1-3f9a2c1b", "conditions": list{verified, condition("Ready")},
			"usage": fields{"count": 1234567, "lastUsedAt": hoursAgo(10)},
		})
		Expect(admin.Status().Update(ctx, o)).To(Succeed())
		Expect(row(ctx, "namespaces/"+o.GetNamespace()+"/usersecrets", o)).To(Equal(fields{
			"Name": o.GetName(), "Provider": "openai", "Type": "api_key", "Masked": "........7QKA",
			"Ready": "True", "Verified": "Unknown", "Uses": int64(1234567), "Last-Used": "10h",
			// A date would be shown as an age, and one to come as <invalid>.
			"Expires": "2099-01-02T03:04:05Z", "Key": "v1-3f9a2c1b", "Reason": "Ready",
		}))
	})

	It("of a UserSecret that is new", func(ctx context.Context) {
		o := stored(ctx, userSecret)
		Expect(row(ctx, "namespaces/"+o.GetNamespace()+"/usersecrets", o)).To(Equal(fields{
			"Name": o.GetName(), "Provider": "openai", "Type": "api_key", "Masked": nil, "Ready": nil, "Verified": nil,
			"Uses": nil, "Last-Used": nil, "Expires": nil, "Key": nil, "Reason": nil,
		}))
	})

	It("of a SecretProvider", func(ctx context.Context) {
		o := secretProvider("")
		put(o, "spec.docsURL", "https://weather.example.com")
		put(o, "spec.types", list{fields{"type": "api_key", "key": "WEATHER_API_KEY"}, fields{"type": "webhook_secret", "key": "WEATHER_WEBHOOK_SECRET"}})
		Expect(admin.Create(ctx, o)).To(Succeed())
		Expect(row(ctx, "secretproviders", o)).To(Equal(fields{
			"Name": o.GetName(), "Display-Name": "Weather", "Category": "Integration",
			"Default-Type": "api_key", "Default-Key": "WEATHER_API_KEY", "Docs": "https://weather.example.com",
		}))
	})

	It("of an EncryptionKey", func(ctx context.Context) {
		o := stored(ctx, encryptionKey)
		put(o, "status", fields{"keyID": o.GetName() + "-3f9a2c1b", "phase": "Active", "sealedSecrets": 120, "progress": "120/500", "rootKeyID": "local-0123456789abcdef", "conditions": list{condition("Ready")}})
		Expect(admin.Status().Update(ctx, o)).To(Succeed())
		Expect(row(ctx, "encryptionkeys", o)).To(Equal(fields{
			"Name": o.GetName(), "Key": o.GetName() + "-3f9a2c1b", "Phase": "Active", "Secrets": int64(120), "Progress": "120/500", "Root-Key": "local-0123456789abcdef", "Reason": "Ready",
		}))
	})

	It("of a SealingKey", func(ctx context.Context) {
		o := stored(ctx, sealingKey)
		Expect(row(ctx, "namespaces/"+o.GetNamespace()+"/sealingkeys", o)).To(Equal(fields{
			"Name": "sealing-key", "Owner": "alice", "Key": "v1-3f9a2c1b", "Fingerprint": "SHA256:fingerprint",
		}))
	})
})

func tableOf(ctx context.Context, resource string) *metav1.Table {
	GinkgoHelper()
	discovery, err := discovery.NewDiscoveryClientForConfig(controlPlane.Admin())
	Expect(err).NotTo(HaveOccurred())
	body, err := discovery.RESTClient().Get().AbsPath("/apis/"+v1alpha1.GroupVersion.String()+"/"+resource).
		SetHeader("Accept", asTable).Do(ctx).Raw()
	Expect(err).NotTo(HaveOccurred())
	table := &metav1.Table{}
	Expect(json.Unmarshal(body, table)).To(Succeed())
	Expect(table.Kind).To(Equal("Table"))
	return table
}

// columns names those of a priority: 0 is always shown, 1 with -o wide.
func columns(table *metav1.Table, priority int32) []string {
	var names []string
	for _, column := range table.ColumnDefinitions {
		if column.Priority == priority {
			names = append(names, column.Name)
		}
	}
	return names
}

// row is what stands in each column for one object, nil for nothing; but for Age, which goes on.
func row(ctx context.Context, resource string, o *unstructured.Unstructured) fields {
	GinkgoHelper()
	table := tableOf(ctx, resource+"/"+client.ObjectKeyFromObject(o).Name)
	Expect(table.Rows).To(HaveLen(1))
	cells := fields{}
	for i, column := range table.ColumnDefinitions {
		cells[column.Name] = table.Rows[0].Cells[i]
	}
	Expect(cells["Age"]).To(MatchRegexp(`^\d+s$`))
	delete(cells, "Age")
	return cells
}

// hoursAgo lies in the middle of the hour, so that it is shown as so many hours while the test runs.
func hoursAgo(n int) string {
	return time.Now().Add(-time.Duration(n)*time.Hour - 30*time.Minute).UTC().Format(time.RFC3339)
}
