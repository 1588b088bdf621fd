package lab_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/kubernetes"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"usersecrets.dev/operator/test/lab"
)

var (
	control *lab.Lab
	admin   kubernetes.Interface
)

// Bounds for what other processes do in their own time.
const (
	eventually = 30 * time.Second
	polling    = 50 * time.Millisecond
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimVariable); dir != "" {
		playVictim(dir)
	}
	os.Exit(m.Run())
}

func TestLab(t *testing.T) {
	ctrllog.SetLogger(logr.Discard())
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(eventually)
	SetDefaultEventuallyPollingInterval(polling)
	RunSpecs(t, "Lab")
}

var _ = BeforeSuite(func(ctx context.Context) {
	plugins := GinkgoT().TempDir()
	Expect(os.WriteFile(plugins+"/kubectl-whereami", []byte("#!/bin/sh\necho \"$KUBECONFIG $HOME\"\n"), 0o700)).To(Succeed())
	var err error
	control, err = lab.Start(ctx, lab.Options{ControllerManager: true, AuditLog: true, PluginDir: plugins})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(control.Stop()).To(Succeed()) })
	admin, err = kubernetes.NewForConfig(control.Admin())
	Expect(err).NotTo(HaveOccurred())
})
