package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Result is what a command printed and how it ended.
type Result struct {
	Stdout, Stderr string
	// ExitCode is -1 where the command could not run, or was killed, as when ctx ended; Stderr then ends with the reason.
	ExitCode int
}

// Err is nil after exit code 0, and else holds the code and standard error.
func (r Result) Err() error {
	if r.ExitCode == 0 {
		return nil
	}
	return fmt.Errorf("exit code %d: %s", r.ExitCode, strings.TrimSpace(r.Stderr))
}

// Kubectl runs the control plane's own kubectl with a kubeconfig file. It has a home of its own, so
// no configuration, alias or cache of the user's has a part in it; plugins are found in
// Options.PluginDir. stdin may be nil. The kubeconfig is handed over in KUBECONFIG, for kubectl
// takes no flags before a plugin's name.
func (l *Lab) Kubectl(ctx context.Context, kubeconfig string, stdin io.Reader, args ...string) Result {
	return l.Run(ctx, kubeconfig, stdin, l.assets.path("kubectl"), args...)
}

// Run is Kubectl for any other binary, such as a plugin called by itself.
func (l *Lab) Run(ctx context.Context, kubeconfig string, stdin io.Reader, binary string, args ...string) Result {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(l.childEnvironment(), "KUBECONFIG="+kubeconfig)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	cmd.SysProcAttr = childAttributes()
	// What the command started, such as a plugin or diff, goes with it: it would hold the output open.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err := cmd.Run()
	result := Result{Stdout: stdout.String(), Stderr: stderr.String(), ExitCode: cmd.ProcessState.ExitCode()}
	if err != nil && result.ExitCode == -1 {
		result.Stderr += errors.Join(err, context.Cause(ctx)).Error()
	}
	return result
}

// childEnvironment is all that a child sees: nothing of the user's but the PATH.
func (l *Lab) childEnvironment() []string {
	path := []string{string(l.assets), os.Getenv("PATH")}
	if l.options.PluginDir != "" {
		path = append([]string{l.options.PluginDir}, path...)
	}
	home := filepath.Join(l.dir.state, "home") // programs make it when they need it
	return []string{
		"PATH=" + strings.Join(path, string(os.PathListSeparator)),
		"HOME=" + home,
		"TMPDIR=" + os.TempDir(),
		"LANG=C.UTF-8",
	}
}
