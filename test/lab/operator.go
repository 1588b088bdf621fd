package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// OperatorOptions say how to run the operator's binary.
type OperatorOptions struct {
	// Binary is the path of the executable; see [Build].
	Binary string
	// Kubeconfig is passed as --kubeconfig: the operator's identity, see [Lab.ServiceAccountConfig].
	Kubeconfig string
	// Args follow, such as the flag that has it listen where ReadyURL says.
	Args []string
	// Env are further variables, NAME=value: the operator sees none of the caller's but PATH.
	Env []string
	// ReadyURL is where it answers 200 once ready, such as http://127.0.0.1:8081/readyz.
	ReadyURL string
	// StartTimeout bounds the wait for readiness; a minute where zero.
	StartTimeout time.Duration
	// LogPath gets its output, appended; operator-<n>.log in [Lab.Logs] where empty.
	LogPath string
}

// Operator is a running operator process.
type Operator struct {
	process *process
}

// StartOperator runs the operator as a child process and returns when it is ready. Where it exits first
// or takes too long, it is stopped, and the error holds the end of its log.
func (l *Lab) StartOperator(ctx context.Context, options OperatorOptions) (*Operator, error) {
	cmd := exec.Command(options.Binary, append([]string{"--kubeconfig=" + options.Kubeconfig}, options.Args...)...)
	cmd.Env = append(l.childEnvironment(), options.Env...)
	log := options.LogPath
	if log == "" {
		log = l.nextOperatorLog()
	}
	p, err := spawn(filepath.Base(options.Binary), log, cmd)
	if err != nil {
		return nil, err
	}
	if err := l.adopt(p); err != nil {
		return nil, err
	}
	if options.StartTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, options.StartTimeout)
		defer cancel()
	}
	if err := p.awaitReady(ctx, options.ReadyURL); err != nil {
		p.kill()
		return nil, err
	}
	return &Operator{process: p}, nil
}

func (l *Lab) nextOperatorLog() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.operators++
	return filepath.Join(l.dir.logs, fmt.Sprintf("operator-%d.log", l.operators))
}

// Stop sends SIGTERM and waits for the end, at most 20 s, after which the operator is killed and that is
// the error. Its exit status is [Operator.Wait]'s to tell.
func (o *Operator) Stop() error { return o.process.terminate(stopTimeout) }

// Kill sends SIGKILL, as a crash or a lost machine would, and waits for the end.
func (o *Operator) Kill() { o.process.kill() }

// Wait returns when the operator has ended by itself or otherwise: nil for exit code 0, else an [exec.ExitError].
func (o *Operator) Wait() error {
	<-o.process.done
	return o.process.err
}

// Running says whether the process is still there.
func (o *Operator) Running() bool { return !o.process.exited() }

// PID is the process id, for what the system knows of it: its memory, say.
func (o *Operator) PID() int { return o.process.cmd.Process.Pid }

// Log is all that the operator has printed so far.
func (o *Operator) Log() string {
	content, err := os.ReadFile(o.process.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Sprintf("(reading the operator's log: %v)", err)
	}
	return string(content)
}
