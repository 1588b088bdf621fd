// Package api_test holds what the API server itself promises about the four kinds, by
// their CustomResourceDefinitions alone: no webhook, no policy and no operator is there.
//
// Every bound is tried from both sides, and what is refused is refused with exactly the
// text that a user reads: that of Kubernetes 1.37, which the project pins. Objects are
// written down as plain maps, since a Go type could not hold most of what is wrong here.
package api_test

import (
	"context"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"usersecrets.dev/operator/test/lab"
)

var (
	controlPlane *lab.Lab
	admin        client.Client
	warnings     = &recorder{}
	serial       atomic.Int64
)

var (
	configFolder = filepath.Join("..", "..", "config")
	definitions  = filepath.Join(configFolder, "crd", "bases")
)

func TestAPI(t *testing.T) {
	log.SetLogger(GinkgoLogr)
	RegisterFailHandler(Fail)
	RunSpecs(t, "The kinds' own rules")
}

var _ = BeforeSuite(func(ctx context.Context) {
	var err error
	controlPlane, err = lab.Start(ctx, lab.Options{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(controlPlane.Stop()).To(Succeed()) })
	Expect(controlPlane.Apply(ctx, []string{definitions})).To(Succeed())

	cfg := controlPlane.Admin()
	cfg.WarningHandlerWithContext = warnings
	admin, err = client.New(cfg, client.Options{})
	Expect(err).NotTo(HaveOccurred())
})

var _ = BeforeEach(func() { warnings.take() })

// newNamespace makes a namespace for one spec.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: unique("api")}}
	Expect(admin.Create(ctx, namespace)).To(Succeed())
	return namespace.Name
}

func unique(prefix string) string { return prefix + "-" + strconv.FormatInt(serial.Add(1), 10) }
