// Command dev starts a real control plane with the operator on it and stays,
// for trying things out. `make dev` runs it.
package main

import (
	"context"
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
		Dir: dir,
		Say: func(format string, args ...any) { fmt.Printf(format+"\n", args...) },
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
	<-ctx.Done()
	return nil
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
	fmt.Printf("\nIn another shell:\n  export PATH=%s:%s:$PATH\n", filepath.Dir(product.Plugin()), os.Getenv("KUBEBUILDER_ASSETS"))
	for _, name := range []string{"alice", "bob", "admin"} {
		namespace := name
		if name == "admin" {
			namespace = ""
		}
		path, err := rig.KeepKubeconfig(dir, name, configs[name], namespace)
		if err != nil {
			return err
		}
		fmt.Printf("  export KUBECONFIG=%s\n", path)
	}
	fmt.Println("  kubectl usersecret create openai --provider openai")
	return nil
}
