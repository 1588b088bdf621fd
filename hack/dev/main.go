// Command dev starts a real control plane with the operator on it and stays,
// for trying things out. `make dev` runs it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	"usersecrets.dev/operator/test/lab"
	"usersecrets.dev/operator/test/rig"
)

const startTime = 15 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "dev:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	ctrl.SetLogger(logr.Discard())
	root, err := lab.ProjectRoot()
	if err != nil {
		return err
	}
	dir := filepath.Join(root, ".dev")
	starting, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	product, err := rig.Start(starting, rig.Options{
		Dir:          dir,
		Verification: true,
		Say:          func(format string, args ...any) { fmt.Printf(format+"\n", args...) },
	})
	if err != nil {
		return err
	}
	defer func() {
		if stopped := product.Stop(); err == nil {
			err = stopped
		}
	}()
	if err := people(starting, product, dir); err != nil {
		return err
	}
	fmt.Printf("\nLogs are in %s. Ctrl-C stops everything.\n", product.Logs())
	ended := make(chan error, 1)
	go func() { ended <- product.Operator.Wait() }()
	return stay(ctx, ended, product.Logs())
}

// errOperatorEnded says that what one came to try is no longer there.
var errOperatorEnded = errors.New("the operator ended by itself, and everything is stopped")

// stay returns nil once ctx ends, and an error where the operator ends before.
func stay(ctx context.Context, ended <-chan error, logs string) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		status := "with exit code 0"
		if err != nil {
			status = err.Error()
		}
		return fmt.Errorf("%w: %s; its log is in %s", errOperatorEnded, status, logs)
	}
}

// people onboards alice and bob, who may make pods in their own namespaces, and
// writes a kubeconfig for each and for an administrator.
func people(ctx context.Context, product *rig.Rig, dir string) error {
	configs := map[string]*rest.Config{"admin": product.Admin()}
	for _, name := range []string{"alice", "bob"} {
		person, err := product.Onboard(ctx, name, name)
		if err != nil {
			return err
		}
		result := product.Kubectl(ctx, product.AdminKubeconfig, nil, "create", "rolebinding", "pods", "-n", name, "--clusterrole", "edit", "--user", name)
		if err := result.Err(); err != nil {
			return fmt.Errorf("letting %s make pods: %w", name, err)
		}
		configs[name] = person.Config
	}
	kubeconfigs := map[string]string{}
	for name, config := range configs {
		namespace := name
		if name == "admin" {
			namespace = ""
		}
		path, err := rig.KeepKubeconfig(dir, name, config, namespace)
		if err != nil {
			return err
		}
		kubeconfigs[name] = path
	}
	path := filepath.Dir(product.Plugin()) + ":" + os.Getenv("KUBEBUILDER_ASSETS")
	_, err := fmt.Print(instructions(path, kubeconfigs))
	return err
}

// instructions can be pasted into a shell as a whole: it then is alice's, and
// asks for her key.
func instructions(path string, kubeconfigs map[string]string) string {
	return fmt.Sprintf(`
In another shell:

  export PATH="%s:$PATH"
  export KUBECONFIG="%s"
  # bob's:   export KUBECONFIG="%s"
  # admin's: export KUBECONFIG="%s"
  kubectl usersecret create openai --provider openai
`, path, kubeconfigs["alice"], kubeconfigs["bob"], kubeconfigs["admin"])
}
