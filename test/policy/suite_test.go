// Package policy tests what config/policy and config/rbac ship, on a real API server and as
// shipped, with neither the operator nor its webhooks running: what is refused here is
// refused while the operator is away.
//
// Everyone but the administrator acts by impersonation, in a group that RBAC lets
// do nearly anything, so that what is refused is refused by a policy. The suite needs
// KUBEBUILDER_ASSETS, a folder with kube-apiserver and etcd; hack/controlplane/build.sh prints one.
package policy

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"usersecrets.dev/operator/api/v1alpha1"
)

const (
	// enforcementTimeout bounds how long the API server takes to notice and compile a new policy or role.
	enforcementTimeout = 30 * time.Second
	enforcementPoll    = 100 * time.Millisecond
)

var (
	configFolder = filepath.Join("..", "..", "config")
	adminConfig  *rest.Config
	admin        client.Client
)

func TestPolicy(t *testing.T) {
	RegisterFailHandler(Fail)
	log.SetLogger(GinkgoLogr)
	RunSpecs(t, "Policies and roles as shipped")
}

var _ = BeforeSuite(func(ctx context.Context) {
	Expect(os.Getenv("KUBEBUILDER_ASSETS")).NotTo(BeEmpty(),
		`KUBEBUILDER_ASSETS is not set: run export KUBEBUILDER_ASSETS="$(hack/controlplane/build.sh)" first`)
	Expect(v1alpha1.AddToScheme(scheme.Scheme)).To(Succeed())

	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join(configFolder, "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	// envtest turns the ServiceAccount plugin off, which every cluster has: it puts
	// the imagePullSecrets of a ServiceAccount into pods before policies see them.
	environment.ControlPlane.GetAPIServer().Configure().Disable("disable-admission-plugins")

	var err error
	adminConfig, err = environment.Start()
	DeferCleanup(environment.Stop)
	Expect(err).NotTo(HaveOccurred())
	adminConfig.QPS = -1
	admin, err = client.New(adminConfig, client.Options{})
	Expect(err).NotTo(HaveOccurred())

	letWritersWrite(ctx)
	apply(ctx, filepath.Join(configFolder, "policy"))
	waitForEveryPolicy(ctx)
})

// writersGroup may do with every resource what a person usually can, but holds none of our own verbs.
const writersGroup = "policy-test:writers"

func letWritersWrite(ctx context.Context) {
	GinkgoHelper()
	role := clusterRole(ctx, rbacv1.PolicyRule{
		APIGroups: []string{rbacv1.APIGroupAll},
		Resources: []string{rbacv1.ResourceAll},
		Verbs:     []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"},
	})
	bind(ctx, role, "", rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: writersGroup})
}
