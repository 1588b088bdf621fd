package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// startControlPlane brings up etcd and kube-apiserver by envtest, each on the leash. envtest takes no
// context: where ctx ends first, cutting the leash makes its Start fail.
func (l *Lab) startControlPlane(ctx context.Context) error {
	logs, err := l.configureControlPlane()
	if err != nil {
		return err
	}
	defer func() {
		for _, log := range logs { // the processes hold their own copies
			_ = log.Close()
		}
	}()
	var failed error
	started := make(chan struct{})
	go func() {
		defer close(started)
		_, failed = l.env.Start()
	}()
	select {
	case <-started:
		err = failed
	case <-ctx.Done():
		err = errors.Join(ctx.Err(), l.leash.cut())
		<-started
	}
	if err != nil {
		return fmt.Errorf("%w\n%s%s", err, tail(logs[0].Name()), tail(logs[1].Name()))
	}
	l.admin = tidy(l.env.Config)
	return nil
}

// tidy lifts client-go's own rate limits, for a lab serves its caller alone, and takes the slash from
// the end of the server's URL, for callers that append a path.
func tidy(cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = -1, 0
	cfg.Host = strings.TrimSuffix(cfg.Host, "/")
	return cfg
}

// configureControlPlane sets l.env and returns the opened logs of etcd and kube-apiserver.
func (l *Lab) configureControlPlane() ([]*os.File, error) {
	useExisting := false // else USE_EXISTING_CLUSTER would have a suite run against the user's own cluster
	l.env = &envtest.Environment{
		UseExistingCluster:       &useExisting,
		ControlPlaneStartTimeout: startTimeout,
		ControlPlaneStopTimeout:  stopTimeout,
	}
	etcdLog, err := openLog(filepath.Join(l.dir.logs, "etcd.log"))
	if err != nil {
		return nil, err
	}
	serverLog, err := openLog(filepath.Join(l.dir.logs, "kube-apiserver.log"))
	if err != nil {
		return nil, errors.Join(err, etcdLog.Close())
	}
	return []*os.File{etcdLog, serverLog}, errors.Join(l.configureEtcd(etcdLog), l.configureAPIServer(serverLog))
}

func (l *Lab) configureEtcd(log *os.File) error {
	path, err := l.leash.tie(l.assets.path("etcd"))
	if err != nil {
		return err
	}
	data := filepath.Join(l.dir.state, "etcd")
	if err := os.Mkdir(data, 0o700); err != nil {
		return fmt.Errorf("making etcd's folder: %w", err)
	}
	l.env.ControlPlane.Etcd = &envtest.Etcd{Path: path, DataDir: data, Out: log, Err: log}
	return nil
}

func (l *Lab) configureAPIServer(log *os.File) error {
	path, err := l.leash.tie(l.assets.path("kube-apiserver"))
	if err != nil {
		return err
	}
	if err := os.Mkdir(l.certificates(), 0o700); err != nil {
		return fmt.Errorf("making the API server's folder: %w", err)
	}
	server := l.env.ControlPlane.GetAPIServer()
	server.Path, server.CertDir, server.Out, server.Err = path, l.certificates(), log, log
	flags := server.Configure()
	if l.options.ServiceAccountAdmission {
		flags.Disable("disable-admission-plugins")
	}
	if l.options.AuditLog {
		root, err := ProjectRoot()
		if err != nil {
			return fmt.Errorf("looking for the audit policy: %w", err)
		}
		flags.Set("audit-policy-file", filepath.Join(root, "config", "audit", "policy.yaml"))
		flags.Set("audit-log-path", l.AuditLog())
		flags.Set("audit-log-format", "json")
	}
	admission, err := l.configureWebhookClient()
	if err != nil {
		return err
	}
	flags.Set("admission-control-config-file", admission)
	for name, values := range l.options.APIServerArgs {
		flags.Set(name, values...)
	}
	return nil
}

// certificates is kube-apiserver's folder: apiserver.crt and the ServiceAccount signer, by envtest's names.
func (l *Lab) certificates() string { return filepath.Join(l.dir.state, "kube-apiserver") }

func openLog(path string) (*os.File, error) {
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening a log: %w", err)
	}
	return log, nil
}
