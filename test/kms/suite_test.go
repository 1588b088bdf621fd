// Package kms_test shows root keys in a KMS against servers that are real: an
// AWS-KMS-compatible one and Vault's transit engine, each a process of its own on a loopback
// address, from the modules in hack/kms.
//
// docs/design/0009-kms-servers.md says what of them is real. What they do not do, such
// as throttling, is in the tests of internal/kms, by the services' published APIs.
package kms_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"usersecrets.dev/operator/test/lab"
)

const (
	// serversVariable names the folder of the servers' binaries; without it they
	// are built where they are missing.
	serversVariable = "KMS_SERVERS"
	// startTime bounds what includes compiling the operator and starting a control
	// plane.
	startTime = 10 * time.Minute
	// eventually bounds what other processes do in their own time. An operator that
	// waits asks again every 30 s at the latest.
	eventually = 90 * time.Second
	polling    = 50 * time.Millisecond
)

var (
	aws   *awsKMS
	vault *vaultServer
)

func TestKMS(t *testing.T) {
	ctrllog.SetLogger(zap.New(zap.WriteTo(GinkgoWriter)))
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(eventually)
	SetDefaultEventuallyPollingInterval(polling)
	RunSpecs(t, "KMS")
}

var _ = BeforeSuite(func(ctx context.Context) {
	servers := findServers(ctx)
	aws, vault = makeAWS(servers), makeVault(servers)
	for _, s := range []*server{aws.server, vault.server} {
		DeferCleanup(s.stop)
	}
	aws.start(ctx)
	vault.start(ctx)
	vault.allow("")
})

// findServers is the folder of the servers' binaries.
func findServers(ctx context.Context) string {
	GinkgoHelper()
	if dir := os.Getenv(serversVariable); dir != "" {
		return dir
	}
	root, err := lab.ProjectRoot()
	Expect(err).NotTo(HaveOccurred())
	var out bytes.Buffer
	script := exec.CommandContext(ctx, filepath.Join(root, "hack", "kms", "build.sh"))
	script.Stdout, script.Stderr = &out, os.Stderr
	Expect(script.Run()).To(Succeed(), "building the servers")
	return strings.TrimSpace(out.String())
}
