package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Options say what a lab consists of. The zero value is etcd and kube-apiserver with RBAC.
type Options struct {
	// ControllerManager also runs kube-controller-manager with all its default
	// controllers; Start then returns only when garbage collection works.
	ControllerManager bool
	// ServiceAccountAdmission turns on the ServiceAccount admission plugin, as in a
	// cluster: pods get a token volume, and need a ServiceAccount, which only a
	// controller-manager makes by itself, shortly after its namespace.
	ServiceAccountAdmission bool
	// AuditLog makes the API server write an audit log by the shipped policy; see [Lab.AuditLog].
	AuditLog bool
	// APIServerArgs are further flags of kube-apiserver, without dashes. They replace a default of the same name.
	APIServerArgs map[string][]string
	// PluginDir, where set, comes first in the PATH of [Lab.Kubectl]: a folder of kubectl plugins.
	PluginDir string
	// Dir keeps the lab's files. Where it is empty, a temporary folder serves and is
	// removed by Stop; a folder given keeps the logs and loses the rest.
	Dir string
}

// Lab is a running control plane. Its methods may be called at the same time.
type Lab struct {
	options Options
	assets  assets
	dir     folder
	env     *envtest.Environment
	leash   *leash
	admin   *rest.Config

	mu        sync.Mutex
	stopped   bool
	children  []*process // stopped last to first
	operators int        // started so far: numbers their logs
}

// Start runs a control plane and returns when it serves, after about 4 s, with a
// controller-manager about 5 s. On an error everything is stopped again, the
// returned Lab is nil, and the error holds the end of the log of what failed. ctx bounds the
// start alone.
func Start(ctx context.Context, options Options) (*Lab, error) {
	found, err := findAssets(ctx, options.ControllerManager)
	if err != nil {
		return nil, err
	}
	dir, err := makeFolder(options.Dir)
	if err != nil {
		return nil, err
	}
	l := &Lab{options: options, assets: found, dir: dir}
	if err := l.start(ctx); err != nil {
		return nil, errors.Join(err, l.Stop())
	}
	return l, nil
}

func (l *Lab) start(ctx context.Context) error {
	var err error
	if l.leash, err = newLeash(l.dir.state, l.dir.doomed()); err != nil {
		return err
	}
	if err := l.startControlPlane(ctx); err != nil {
		return fmt.Errorf("starting the control plane: %w", err)
	}
	if !l.options.ControllerManager {
		return nil
	}
	if err := l.startControllerManager(ctx); err != nil {
		return fmt.Errorf("starting kube-controller-manager: %w", err)
	}
	return nil
}

// Stop ends every process of the lab, operators included, and removes its files. A second
// call, or one on a nil Lab, does nothing.
func (l *Lab) Stop() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return nil
	}
	l.stopped = true
	children := l.children
	l.mu.Unlock()

	var errs []error
	for i := len(children) - 1; i >= 0; i-- {
		errs = append(errs, children[i].terminate(stopTimeout))
	}
	if l.env != nil {
		errs = append(errs, l.env.Stop())
	}
	// Whatever did not listen to envtest is killed with the leash.
	errs = append(errs, l.leash.cut(), l.dir.remove())
	return errors.Join(errs...)
}

// Logs is the folder of the processes' output: etcd.log, kube-apiserver.log,
// kube-controller-manager.log, and one file for each operator.
func (l *Lab) Logs() string { return l.dir.logs }

// AuditLog is the path of the API server's audit log, one JSON event a line. It exists only with Options.AuditLog.
func (l *Lab) AuditLog() string { return filepath.Join(l.dir.logs, "audit.log") }

// adopt has Stop end p. It refuses once the lab is stopped: p would outlive it.
func (l *Lab) adopt(p *process) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		p.kill()
		return ErrStopped
	}
	l.children = append(l.children, p)
	return nil
}

// ErrStopped is returned for what a stopped lab can no longer do.
var ErrStopped = errors.New("the lab is stopped")

// Processes get this long to start and to stop. A loaded machine needs several times what a quiet one does.
const (
	startTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
)

// folder is where a lab keeps its files.
type folder struct {
	root, logs, state string
	temporary         bool
}

func makeFolder(root string) (folder, error) {
	f := folder{root: root}
	var err error
	if root == "" {
		f.temporary = true
		if f.root, err = os.MkdirTemp("", "usersecret-lab-"); err != nil {
			return f, fmt.Errorf("making the lab's folder: %w", err)
		}
	} else if f.root, err = filepath.Abs(root); err != nil {
		return f, fmt.Errorf("resolving the lab's folder: %w", err)
	}
	f.logs, f.state = filepath.Join(f.root, "logs"), filepath.Join(f.root, "state")
	// What an earlier lab in the same folder left would be taken for this one's: etcd's data above all.
	if err := os.RemoveAll(f.state); err != nil {
		return f, fmt.Errorf("clearing the lab's folder: %w", err)
	}
	for _, path := range []string{f.logs, f.state} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return f, fmt.Errorf("making the lab's folder: %w", err)
		}
	}
	return f, nil
}

// doomed is what goes when the lab does: keys, kubeconfigs and etcd's data always.
func (f folder) doomed() string {
	if f.temporary {
		return f.root
	}
	return f.state
}

func (f folder) remove() error {
	if err := os.RemoveAll(f.doomed()); err != nil {
		return fmt.Errorf("removing the lab's files: %w", err)
	}
	return nil
}
