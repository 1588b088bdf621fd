package lab_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"usersecrets.dev/operator/test/lab"
)

// victimVariable has the test binary run a lab in the folder that it names, and wait to be killed.
const victimVariable = "LAB_TEST_VICTIM"

func playVictim(dir string) {
	ctx := context.Background()
	l, err := lab.Start(ctx, lab.Options{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// Never ready, so never returns: the child is there all the while.
	_, err = l.StartOperator(ctx, lab.OperatorOptions{Binary: script(dir, "while :; do sleep 0.1; done"), ReadyURL: "http://127.0.0.1:1/"})
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// script writes a shell script into dir, as an operator that does as told.
func script(dir, body string) string {
	path := filepath.Join(dir, "operator.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		panic(err)
	}
	return path
}

// runningIn lists the command lines of live processes that name dir.
func runningIn(dir string) []string {
	GinkgoHelper()
	entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
	Expect(err).NotTo(HaveOccurred())
	var lines []string
	for _, entry := range entries {
		// A process that just ended has no file any more, a zombie an empty one.
		content, _ := os.ReadFile(entry)
		pid := strings.Split(entry, "/")[2]
		if bytes.Contains(content, []byte(dir)) && pid != strconv.Itoa(os.Getpid()) {
			lines = append(lines, string(bytes.ReplaceAll(content, []byte{0}, []byte(" "))))
		}
	}
	return lines
}

var _ = Describe("A caller that is killed", func() {
	It("takes its lab along", func(ctx context.Context) {
		if _, err := os.Stat("/proc/self/cmdline"); err != nil {
			Skip("needs /proc to see processes")
		}
		dir := GinkgoT().TempDir()
		self, err := os.Executable()
		Expect(err).NotTo(HaveOccurred())
		victim := exec.CommandContext(ctx, self)
		victim.Env = append(os.Environ(), victimVariable+"="+dir)
		victim.Stderr = GinkgoWriter
		Expect(victim.Start()).To(Succeed())
		Eventually(func() []string { return runningIn(dir) }).Should(ContainElements(
			ContainSubstring("--data-dir"), ContainSubstring("--etcd-servers"), ContainSubstring("operator.sh"),
		))

		Expect(victim.Process.Signal(syscall.SIGKILL)).To(Succeed())
		_ = victim.Wait() // it was killed
		Eventually(func() []string { return runningIn(dir) }).Should(BeEmpty())
		Eventually(func() bool {
			_, err := os.Stat(filepath.Join(dir, "state"))
			return os.IsNotExist(err)
		}).Should(BeTrue(), "the leash removes keys and data")
	})
})

var _ = Describe("StartOperator", func() {
	It("waits for readiness, keeps the log, and stops in order", func(ctx context.Context) {
		// The API server's own readiness stands in for the operator's.
		options := lab.OperatorOptions{
			Binary:     script(GinkgoT().TempDir(), `echo "got $1 $SECRET $HOME"; trap 'echo stopping; exit 3' TERM; while :; do sleep 0.05; done`),
			Kubeconfig: "/some/kubeconfig", Env: []string{"SECRET=shh"}, ReadyURL: control.Admin().Host + "/readyz",
		}
		operator, err := control.StartOperator(ctx, options)
		Expect(err).NotTo(HaveOccurred())
		Expect(operator.Running()).To(BeTrue())
		Eventually(operator.Log).Should(HavePrefix("got --kubeconfig=/some/kubeconfig shh "))
		Expect(operator.Log()).NotTo(ContainSubstring(" " + os.Getenv("HOME") + "\n"))

		Expect(operator.Stop()).To(Succeed())
		Expect(operator.Log()).To(HaveSuffix("stopping\n"))
		Expect(operator.Running()).To(BeFalse())
		var exit *exec.ExitError
		Expect(operator.Wait()).To(BeAssignableToTypeOf(exit))
		Expect(operator.Wait()).To(MatchError("exit status 3"))

		operator, err = control.StartOperator(ctx, options)
		Expect(err).NotTo(HaveOccurred())
		operator.Kill()
		Expect(operator.Wait()).To(MatchError("signal: killed"))
	})

	It("shows the log of an operator that gives up", func(ctx context.Context) {
		_, err := control.StartOperator(ctx, lab.OperatorOptions{
			Binary: script(GinkgoT().TempDir(), "echo wrong root key >&2; exit 1"), ReadyURL: "http://127.0.0.1:1/",
		})
		Expect(err).To(MatchError(And(ContainSubstring("exited before it was ready: exit status 1"), ContainSubstring("wrong root key"))))
	})

	It("gives up on one that is never ready", func(ctx context.Context) {
		_, err := control.StartOperator(ctx, lab.OperatorOptions{
			Binary: script(GinkgoT().TempDir(), "exec sleep 600"), ReadyURL: "http://127.0.0.1:1/", StartTimeout: polling,
		})
		Expect(err).To(MatchError(lab.ErrTimeout))
	})
})
