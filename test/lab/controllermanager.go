package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// startControllerManager returns when the controllers that suites rely on do their work: the default
// namespace has its ServiceAccount, and what an owner leaves behind is collected.
func (l *Lab) startControllerManager(ctx context.Context) error {
	args, err := l.controllerManagerArgs()
	if err != nil {
		return err
	}
	port, err := FreePort()
	if err != nil {
		return err
	}
	args = append(args, "--secure-port="+strconv.Itoa(port))
	log := filepath.Join(l.dir.logs, "kube-controller-manager.log")
	manager := exec.Command(l.assets.path("kube-controller-manager"), args...)
	manager.Env = l.childEnvironment()
	p, err := spawn("kube-controller-manager", log, manager)
	if err != nil {
		return err
	}
	if err := l.adopt(p); err != nil {
		return err
	}
	if err := p.awaitReady(ctx, fmt.Sprintf("https://127.0.0.1:%d/healthz", port)); err != nil {
		return err
	}
	if err := l.awaitControllers(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, tail(log))
	}
	return nil
}

func (l *Lab) controllerManagerArgs() ([]string, error) {
	identity, err := l.User("system:kube-controller-manager")
	if err != nil {
		return nil, err
	}
	kubeconfig, err := l.Kubeconfig(identity, "")
	if err != nil {
		return nil, err
	}
	// For the ConfigMap kube-root-ca.crt of every namespace.
	rootCA := filepath.Join(l.dir.state, "root-ca.crt")
	if err := os.WriteFile(rootCA, l.admin.CAData, 0o600); err != nil {
		return nil, fmt.Errorf("writing the root certificate: %w", err)
	}
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1",
		"--leader-elect=false",
		// Each controller as its own ServiceAccount, as in a cluster: policies and audit see the garbage collector, not one name for all.
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + filepath.Join(l.certificates(), "sa-signer.key"),
		"--root-ca-file=" + rootCA,
		// At the default 20 requests a second the first ServiceAccounts take 5 s.
		"--kube-api-qps=1000", "--kube-api-burst=2000",
	}, nil
}

func (l *Lab) awaitControllers(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(l.admin)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	err = Await(ctx, "the default ServiceAccount", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return found(err)
	})
	if err != nil {
		return err
	}
	return awaitCollection(ctx, client)
}

// awaitCollection has an object collected: the collector answers its health check long before its caches are filled.
func awaitCollection(ctx context.Context, client kubernetes.Interface) error {
	maps := client.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	canary := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "lab-orphan-", OwnerReferences: []metav1.OwnerReference{{
		APIVersion: "v1", Kind: "ConfigMap", Name: "lab-never-was", UID: "7c6a2b52-2f0e-4f6a-8a55-5f6a3a1d9e11",
	}}}}
	canary, err := maps.Create(ctx, canary, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("creating an object to collect: %w", err)
	}
	return Await(ctx, "garbage collection", func(ctx context.Context) (bool, error) {
		there, err := found(func() error { _, err := maps.Get(ctx, canary.Name, metav1.GetOptions{}); return err }())
		return !there && err == nil, err
	})
}

// found tells the object that is not there from the API server that does not answer.
func found(err error) (bool, error) {
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}
