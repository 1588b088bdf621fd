package lab_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"usersecrets.dev/operator/test/lab"
)

// whoami is what the API server takes cfg's credentials for.
func whoami(ctx context.Context, cfg *rest.Config) authenticationv1.UserInfo {
	GinkgoHelper()
	client, err := kubernetes.NewForConfig(cfg)
	Expect(err).NotTo(HaveOccurred())
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return review.Status.UserInfo
}

func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	namespace, err := admin.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "lab-"}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return namespace.Name
}

var _ = Describe("Identities", func() {
	It("gives a user a certificate with name and groups, and no rights", func(ctx context.Context) {
		cfg, err := control.User("alice", "team-a")
		Expect(err).NotTo(HaveOccurred())
		user := whoami(ctx, cfg)
		Expect(user.Username).To(Equal("alice"))
		Expect(user.Groups).To(ConsistOf("team-a", "system:authenticated"))

		alice, err := kubernetes.NewForConfig(cfg)
		Expect(err).NotTo(HaveOccurred())
		_, err = alice.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{})
		Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
	})

	It("acts as a ServiceAccount by its token alone", func(ctx context.Context) {
		namespace := newNamespace(ctx)
		// Made by the controller-manager.
		Eventually(func() error {
			_, err := admin.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
			return err
		}).Should(Succeed())
		cfg, err := control.ServiceAccountConfig(ctx, namespace, "default")
		Expect(err).NotTo(HaveOccurred())
		Expect(cfg.CertData).To(BeEmpty())
		Expect(whoami(ctx, cfg).Username).To(Equal("system:serviceaccount:" + namespace + ":default"))
	})

	It("says which ServiceAccount is missing", func(ctx context.Context) {
		_, err := control.ServiceAccountConfig(ctx, "default", "nobody")
		Expect(err).To(MatchError(ContainSubstring(`requesting a token for ServiceAccount default/nobody: serviceaccounts "nobody" not found`)))
	})
})

var _ = Describe("Kubectl", func() {
	It("acts as the kubeconfig's user, in its namespace, and reports how it ended", func(ctx context.Context) {
		namespace := newNamespace(ctx)
		asAdmin, err := control.Kubeconfig(control.Admin(), namespace)
		Expect(err).NotTo(HaveOccurred())
		Expect(os.Chmod(asAdmin, 0o644)).To(Succeed())
		Expect(lab.WriteKubeconfig(asAdmin, control.Admin(), namespace)).To(Succeed())
		info, err := os.Stat(asAdmin)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)))

		manifest := `{apiVersion: v1, kind: ConfigMap, metadata: {name: from-stdin}, data: {key: value}}`
		result := control.Kubectl(ctx, asAdmin, strings.NewReader(manifest), "apply", "-f", "-")
		Expect(result).To(Equal(lab.Result{Stdout: "configmap/from-stdin created\n"}))
		Expect(admin.CoreV1().ConfigMaps(namespace).Get(ctx, "from-stdin", metav1.GetOptions{})).NotTo(BeNil())

		user, err := control.User("bob")
		Expect(err).NotTo(HaveOccurred())
		asBob, err := control.Kubeconfig(user, namespace)
		Expect(err).NotTo(HaveOccurred())
		result = control.Kubectl(ctx, asBob, nil, "get", "configmap", "from-stdin")
		Expect(result.ExitCode).To(Equal(1))
		Expect(result.Err()).To(MatchError(ContainSubstring(`User "bob" cannot get resource "configmaps"`)))
	})

	It("finds plugins, which see the kubeconfig and a home that is not the user's", func(ctx context.Context) {
		result := control.Kubectl(ctx, "/some/kubeconfig", nil, "whereami")
		Expect(result.Err()).NotTo(HaveOccurred())
		Expect(result.Stdout).To(HavePrefix("/some/kubeconfig "))
		Expect(result.Stdout).NotTo(ContainSubstring(" " + os.Getenv("HOME") + "\n"))
	})

	It("does not wait for what a killed command left running", func(ctx context.Context) {
		short, cancel := context.WithTimeout(ctx, 10*polling)
		defer cancel()
		result := control.Run(short, "", nil, script(GinkgoT().TempDir(), "sleep 600; echo over"))
		Expect(result.ExitCode).To(Equal(-1))
		Expect(result.Stderr).To(ContainSubstring("deadline exceeded"))
	}, NodeTimeout(eventually))

	It("reports a command that could not finish", func(ctx context.Context) {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		result := control.Kubectl(ended, "", nil, "version")
		Expect(result.ExitCode).To(Equal(-1))
		Expect(result.Stderr).To(ContainSubstring("context canceled"))
	})
})

var _ = Describe("The control plane", func() {
	It("collects a Secret whose pod is gone", func(ctx context.Context) {
		namespace := newNamespace(ctx)
		pod, err := admin.CoreV1().Pods(namespace).Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "owner"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none"}}},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		secrets := admin.CoreV1().Secrets(namespace)
		_, err = secrets.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Name: "owned", OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}},
		}}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())

		Expect(admin.CoreV1().Pods(namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{})).To(Succeed())
		Eventually(func() bool {
			_, err := secrets.Get(ctx, "owned", metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		}).Should(BeTrue())
	})

	It("shows all of etcd, however many pages it takes", func(ctx context.Context) {
		namespace, want := newNamespace(ctx), 600
		for i := range want {
			_, err := admin.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("many-%d", i)},
			}, metav1.CreateOptions{})
			Expect(err).NotTo(HaveOccurred())
		}
		dump, err := control.DumpEtcd(ctx)
		Expect(err).NotTo(HaveOccurred())
		keys := slices.DeleteFunc(slices.Collect(maps.Keys(dump)), func(key string) bool {
			return !strings.HasPrefix(key, "/registry/configmaps/"+namespace+"/many-")
		})
		Expect(keys).To(HaveLen(want))
	})

	It("empties and removes a deleted namespace", func(ctx context.Context) {
		namespace := newNamespace(ctx)
		Expect(admin.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{})).To(Succeed())
		Eventually(func() bool {
			_, err := admin.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		}).Should(BeTrue())
	})

	It("shows what lies in etcd, and keeps what was sent out of the audit log", func(ctx context.Context) {
		const canary, name = "canary-3d1f9b7e", "audited"
		namespace := newNamespace(ctx)
		_, err := admin.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"key": canary},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		_, err = admin.CoreV1().Secrets(namespace).Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{"key": []byte(canary)},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())

		dump, err := control.DumpEtcd(ctx)
		Expect(err).NotTo(HaveOccurred())
		for _, resource := range []string{"configmaps", "secrets"} {
			stored, there := dump["/registry/"+resource+"/"+namespace+"/"+name]
			Expect(there).To(BeTrue(), resource)
			Expect(string(stored)).To(ContainSubstring(canary), resource)
		}

		// An event is written after its request was answered.
		for _, resource := range []string{"configmaps", "secrets"} {
			Eventually(func() []string { return auditLevels(resource, namespace, name) }).Should(ConsistOf("Metadata"), resource)
		}
		log, err := os.ReadFile(control.AuditLog())
		Expect(err).NotTo(HaveOccurred())
		Expect(string(log)).NotTo(ContainSubstring(canary))
		for _, body := range []string{`"requestObject"`, `"responseObject"`, `"RequestReceived"`} {
			Expect(string(log)).NotTo(ContainSubstring(body))
		}
	})
})

// auditLevels are the levels of the recorded creations of one object.
func auditLevels(resource, namespace, name string) []string {
	GinkgoHelper()
	file, err := os.Open(control.AuditLog())
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = file.Close() }()
	var levels []string
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Level, Verb string
			ObjectRef   struct{ Resource, Namespace, Name string }
		}
		if json.Unmarshal(lines.Bytes(), &event) != nil {
			continue // the line being written
		}
		ref := event.ObjectRef
		if event.Verb == "create" && ref.Resource == resource && ref.Namespace == namespace && ref.Name == name {
			levels = append(levels, event.Level)
		}
	}
	return levels
}

var _ = Describe("Start", func() {
	It("runs a second lab beside the first, and stops it without a trace", func(ctx context.Context) {
		dir := GinkgoT().TempDir()
		// What a lab that was killed left, and what would send envtest to the user's own cluster.
		Expect(os.MkdirAll(filepath.Join(dir, "state", "etcd", "member"), 0o700)).To(Succeed())
		GinkgoT().Setenv("USE_EXISTING_CLUSTER", "true")
		GinkgoT().Setenv("KUBECONFIG", "/no/such/file")
		second, err := lab.Start(ctx, lab.Options{Dir: dir})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { Expect(second.Stop()).To(Succeed()) })
		Expect(second.Admin().Host).NotTo(Equal(control.Admin().Host))
		Expect(whoami(ctx, second.Admin()).Groups).To(ContainElement("system:masters"))

		Expect(second.Stop()).To(Succeed())
		Expect(runningIn(dir)).To(BeEmpty())
		left, err := filepath.Glob(filepath.Join(dir, "*"))
		Expect(err).NotTo(HaveOccurred())
		Expect(left).To(ConsistOf(filepath.Join(dir, "logs")))
	})

	It("ends with its context, leaving nothing behind", func(ctx context.Context) {
		dir := GinkgoT().TempDir()
		starting, cancel := context.WithCancel(ctx)
		defer cancel()
		failed := make(chan error, 1)
		go func() {
			_, err := lab.Start(starting, lab.Options{Dir: dir})
			failed <- err
		}()
		Eventually(func() []string { return runningIn(dir) }).Should(ContainElement(ContainSubstring("etcd")))
		cancel()
		Eventually(failed).Should(Receive(MatchError(context.Canceled)))
		served, err := os.ReadFile(filepath.Join(dir, "logs", "kube-apiserver.log"))
		Expect(err).NotTo(HaveOccurred())
		Expect(string(served)).NotTo(ContainSubstring("Serving securely"), "it did not wait for the end of the start")
		Eventually(func() []string { return runningIn(dir) }).Should(BeEmpty())
	})

	It("demands a ServiceAccount for a pod where asked to", func(ctx context.Context) {
		second, err := lab.Start(ctx, lab.Options{ServiceAccountAdmission: true})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { Expect(second.Stop()).To(Succeed()) })
		api, err := kubernetes.NewForConfig(second.Admin())
		Expect(err).NotTo(HaveOccurred())
		_, err = api.CoreV1().Pods("default").Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "pod"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none"}}},
		}, metav1.CreateOptions{})
		Expect(err).To(MatchError(ContainSubstring(`error looking up service account default/default`)))
	})

	It("shows the log of what failed, and leaves nothing behind", func(ctx context.Context) {
		dir := GinkgoT().TempDir()
		_, err := lab.Start(ctx, lab.Options{Dir: dir, APIServerArgs: map[string][]string{"no-such-flag": {"x"}}})
		Expect(err).To(MatchError(ContainSubstring("unknown flag: --no-such-flag")))
		Expect(runningIn(dir)).To(BeEmpty())
	})

	It("says what is missing among the binaries, and what to do", func(ctx context.Context) {
		assets := GinkgoT().TempDir()
		GinkgoT().Setenv("KUBEBUILDER_ASSETS", assets)
		_, err := lab.Start(ctx, lab.Options{})
		Expect(err).To(MatchError(ContainSubstring("looking for etcd in " + assets)))
		for _, binary := range []string{"etcd", "kube-apiserver", "kubectl"} {
			Expect(os.WriteFile(filepath.Join(assets, binary), nil, 0o700)).To(Succeed())
		}
		_, err = lab.Start(ctx, lab.Options{ControllerManager: true})
		Expect(err).To(MatchError(lab.ErrNoControllerManager))
		Expect(err).To(MatchError(ContainSubstring("unset KUBEBUILDER_ASSETS")))
	})
})
