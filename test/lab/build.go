package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build compiles one of this project's programs (pkg such as ./cmd/usersecret-operator, from the
// project's root) to the file out, as a release is built: static, without the builder's paths. With a warm
// build cache it takes a second or two.
func Build(ctx context.Context, pkg, out string) error {
	root, err := ProjectRoot()
	if err != nil {
		return err
	}
	if out, err = filepath.Abs(out); err != nil {
		return fmt.Errorf("building %s: %w", pkg, err)
	}
	compile := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", out, pkg)
	compile.Dir = root
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", pkg, err, output)
	}
	return nil
}
