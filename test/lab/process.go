package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// process is a child with its output in a file.
type process struct {
	name, log string
	cmd       *exec.Cmd
	done      chan struct{} // closed once the child was waited for
	err       error         // of that wait; read after done
}

// spawn starts cmd in a process group of its own, so that Ctrl-C in a terminal reaches the caller
// alone, who then stops the lab in order.
func spawn(name, log string, cmd *exec.Cmd) (*process, error) {
	out, err := openLog(log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }() // the child holds its own copy
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, out, childAttributes()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p := &process{name: name, log: log, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the child at once and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only for one that is gone already
	<-p.done
}

// terminate asks the child to end and kills it after the grace period, which is an error.
func (p *process) terminate(grace time.Duration) error {
	if p.exited() {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // as above
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
		p.kill()
		return fmt.Errorf("stopping %s: killed, for it still ran %s after SIGTERM", p.name, grace)
	}
}

// awaitReady returns when url answers 200, and with the end of the child's log where it exits before or ctx ends.
func (p *process) awaitReady(ctx context.Context, url string) error {
	// The certificate is one that the child made for itself, and the answer is no more than 'ready'.
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true,
	}
	probe := &http.Client{Transport: transport, Timeout: 2 * time.Second}
	err := Await(ctx, p.name+" to be ready at "+url, func(ctx context.Context) (bool, error) {
		if p.exited() {
			return false, fmt.Errorf("%w: %w", errExited, p.err)
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false, err
		}
		response, err := probe.Do(request)
		if err != nil {
			return false, nil // not listening yet
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK, nil
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, tail(p.log))
	}
	return nil
}

// tail is the end of a log, at most 4 KiB, headed by the file's name; nothing of an empty or missing one.
func tail(path string) string {
	const most = 4 << 10
	content, err := os.ReadFile(path)
	if err != nil || len(content) == 0 {
		return ""
	}
	if len(content) > most {
		content = content[len(content)-most:]
		if _, whole, ok := bytes.Cut(content, []byte("\n")); ok {
			content = whole
		}
	}
	return fmt.Sprintf("--- end of %s:\n%s\n", filepath.Base(path), bytes.TrimRight(content, "\n"))
}
