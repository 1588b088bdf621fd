package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// informerCommand is the argument with which this program is the floor of a cold
// start; a kubeconfig follows.
const informerCommand = "informer"

// synced is what the floor prints once it has every object.
const synced = "synced"

// serveInformer is that floor: it keeps every UserSecret in memory, as anybody
// who watches them does, says when it has them, and ends with its input.
func serveInformer(ctx context.Context, kubeconfig string, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	// What it returns has synced.
	if _, err := startWatch(ctx, cfg, &v1alpha1.UserSecret{}, cache.ByObject{}, func(client.Object) {}); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, synced); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// bareStart starts that floor in a process of its own and measures it as a cold
// start of the operator is: from its start until it has everything, and what it
// took until quietTime after that.
func (b *bed) bareStart(ctx context.Context) (_ start, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	kubeconfig, err := b.Kubeconfig(b.floor, "")
	if err != nil {
		return start{}, err
	}
	program, err := os.Executable()
	if err != nil {
		return start{}, fmt.Errorf("finding this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, program, informerCommand, kubeconfig)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return start{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return start{}, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return start{}, fmt.Errorf("starting the informer: %w", err)
	}
	defer func() { err = errors.Join(err, in.Close(), cmd.Wait()) }()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // it says nothing else
		return start{}, fmt.Errorf("waiting for the informer to sync: %w", err)
	}
	s := start{quiet: time.Since(began)}
	pause(ctx, quietTime)
	return s, s.measure(cmd.Process.Pid)
}

// measure fills in what a process took so far.
func (s *start) measure(pid int) error {
	of, err := readProcess(pid)
	if err != nil {
		return err
	}
	s.processor = of.processor
	s.memory, err = memoryOf(pid)
	return err
}
