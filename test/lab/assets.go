package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// assetsVariable names the folder of the control plane's binaries, as envtest and setup-envtest have it.
const assetsVariable = "KUBEBUILDER_ASSETS"

// module is this project's, which tells its root from any other folder with a go.mod.
const module = "usersecrets.dev/operator"

// ErrNoControllerManager is returned where KUBEBUILDER_ASSETS has no kube-controller-manager: setup-envtest installs none.
var ErrNoControllerManager = errors.New("no kube-controller-manager")

// ErrNoProject is returned outside the project's tree: policies and build scripts are found from its root.
var ErrNoProject = errors.New("not inside the project")

// assets is a folder of binaries.
type assets string

func (a assets) path(binary string) string { return filepath.Join(string(a), binary) }

// findAssets returns the folder that KUBEBUILDER_ASSETS names, or where it is unset, the
// project's own, built first where need be (minutes, once).
func findAssets(ctx context.Context, controllerManager bool) (assets, error) {
	dir := os.Getenv(assetsVariable)
	if dir == "" {
		var err error
		if dir, err = buildAssets(ctx); err != nil {
			return "", err
		}
	}
	found := assets(dir)
	for _, binary := range []string{"etcd", "kube-apiserver", "kubectl"} {
		if err := executable(found.path(binary)); err != nil {
			return "", fmt.Errorf("looking for %s in %s: %w (unset %s to build the pinned versions)", binary, dir, err, assetsVariable)
		}
	}
	if !controllerManager {
		return found, nil
	}
	if err := executable(found.path("kube-controller-manager")); err != nil {
		return "", fmt.Errorf("%w in %s: unset %s to build the pinned versions: %w", ErrNoControllerManager, dir, assetsVariable, err)
	}
	return found, nil
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("%s is not an executable file", path)
	}
	return nil
}

// buildAssets runs the build script, which prints the folder. Its progress goes to standard error, for it can take minutes.
func buildAssets(ctx context.Context) (string, error) {
	root, err := ProjectRoot()
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	script := exec.CommandContext(ctx, filepath.Join(root, "hack", "controlplane", "build.sh"))
	script.Stdout, script.Stderr = &out, os.Stderr
	if err := script.Run(); err != nil {
		return "", fmt.Errorf("building the control plane: %w", err)
	}
	return strings.TrimSpace(out.String()), nil
}

// ProjectRoot is the folder of this project's go.mod, looked for upwards from the working
// directory; ErrNoProject where there is none.
func ProjectRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking for the project's root: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(content, []byte("module "+module+"\n")) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%w %s: no such go.mod above %s", ErrNoProject, module, start)
		}
	}
}
