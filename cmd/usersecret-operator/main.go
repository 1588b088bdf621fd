// Command usersecret-operator is the operator: admission webhooks on every
// replica, controllers on the leader.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/controllers/verification"
)

// version is set at build time.
var version = "unknown"

func main() {
	keepHeapSmall()
	if err := command().ExecuteContext(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "usersecret-operator:", err)
		os.Exit(1)
	}
}

// heapGrowth is by how many percent the heap may grow between two collections, unless
// the environment's GOGC says otherwise. Most of it is the cache, which lives for
// long: at Go's 100 half of the memory of a start is what nobody uses any more, and
// collecting it twice as often takes a few percent of the processor time.
const heapGrowth = 50

func keepHeapSmall() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
}

func command() *cobra.Command {
	o := defaults()
	logging := zap.Options{}
	cmd := &cobra.Command{
		Use:           "usersecret-operator",
		Short:         "Keeps the secrets of every user of a workflow platform and hands them to that user's pods",
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			ctrl.SetLogger(zap.New(zap.UseFlagOptions(&logging)))
			return run(cmd.Context(), o)
		},
	}
	o.bind(cmd)
	shared := flag.NewFlagSet("shared", flag.ContinueOnError)
	config.RegisterFlags(shared)
	logging.BindFlags(shared)
	cmd.Flags().AddGoFlagSet(shared)
	cmd.AddCommand(auditCommand())
	return cmd
}

// options are the operator's flags.
type options struct {
	namespace       string
	rootKeys        []string
	rootKeyFile     string
	ownerAnnotation string

	rootKeyOfflineLimit time.Duration
	keyRotationPeriod   time.Duration

	leaderElect   bool
	leaseDuration time.Duration
	shutdownDelay time.Duration

	webhookBind  string
	webhookPort  int
	webhookHosts []string
	certDir      string

	webhookClientCA string

	healthAddress  string
	metricsAddress string
	pprofAddress   string

	defaultTTL time.Duration
	maxTTL     time.Duration

	verification verificationOptions
	accessLog    accessLogOptions
}

func defaults() *options {
	return &options{
		namespace:       v1alpha1.OperatorNamespace,
		ownerAnnotation: v1alpha1.OwnerAnnotation,
		leaderElect:     true,
		leaseDuration:   15 * time.Second,
		shutdownDelay:   5 * time.Second,
		webhookPort:     9443,
		healthAddress:   ":8081",
		metricsAddress:  ":8080",
		maxTTL:          24 * time.Hour,
		verification:    verificationOptions{on: true, limits: verification.DefaultLimits()},
		accessLog:       accessLogOptions{to: toStdout, maxSize: "0"},
	}
}

var (
	errRotationPeriod = errors.New("--key-rotation-period is shorter than 1h: every rotation seals all values again; give 0 to make keys by hand")
	errOfflineLimit   = errors.New("--root-key-offline-limit is shorter than 1m: a KMS is asked only so often; give 0 for no limit")
)

func (o *options) validate() error {
	switch {
	case o.keyRotationPeriod != 0 && o.keyRotationPeriod < time.Hour:
		return errRotationPeriod
	case o.rootKeyOfflineLimit != 0 && o.rootKeyOfflineLimit < time.Minute:
		return errOfflineLimit
	}
	return errors.Join(o.verification.validate(), o.accessLog.validate())
}

func (o *options) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.namespace, "namespace", o.namespace, "The operator's own namespace, where key material lies.")
	f.StringVar(&o.rootKeyFile, "root-key-file", o.rootKeyFile, "File with the root key, 32 bytes in hexadecimal or base64; more may follow, one a line, which unwrap only. Without it and --root-key, VAULT_ENCRYPTION_KEY is read, likewise.")
	f.StringArrayVar(&o.rootKeys, "root-key", o.rootKeys, "Root key: awskms:///KEY?region=REGION, gcpkms://KEY, azurekeyvault://VAULT.vault.azure.net/keys/KEY, hashivault://KEY, file:PATH or env:VARIABLE. Given several times, the first wraps and all unwrap.")
	f.DurationVar(&o.rootKeyOfflineLimit, "root-key-offline-limit", o.rootKeyOfflineLimit, "How long keys stay in memory while the root key's KMS cannot be reached; 0 means for as long as the process runs.")
	f.DurationVar(&o.keyRotationPeriod, "key-rotation-period", o.keyRotationPeriod, "How old the active encryption key may become before a new one takes over, such as 2160h; at least 1h, and 0 means never.")
	f.StringVar(&o.ownerAnnotation, "owner-annotation", o.ownerAnnotation, "Annotation of a Namespace that names its owner; 'owner' for Kubeflow Profiles.")
	f.BoolVar(&o.leaderElect, "leader-elect", o.leaderElect, "Run controllers only on the replica that holds the Lease.")
	f.DurationVar(&o.leaseDuration, "lease-duration", o.leaseDuration, "How long the Lease of a leader that is gone keeps the others waiting; at least 3s.")
	f.DurationVar(&o.shutdownDelay, "shutdown-delay", o.shutdownDelay, "How long to go on answering after SIGTERM, not ready any more, until nobody calls.")
	f.StringVar(&o.webhookBind, "webhook-bind-address", o.webhookBind, "Address that the webhook server listens on; empty means all.")
	f.IntVar(&o.webhookPort, "webhook-port", o.webhookPort, "Port that the webhook server listens on.")
	f.StringSliceVar(&o.webhookHosts, "webhook-host", o.webhookHosts, "Further host names or IP addresses that the API server calls the webhooks by, where they are configured by URL.")
	f.StringVar(&o.certDir, "webhook-cert-dir", o.certDir, "Folder with tls.crt and tls.key, such as cert-manager mounts; the operator then manages no certificates and no caBundle.")
	f.StringVar(&o.webhookClientCA, "webhook-client-ca-file", o.webhookClientCA, "File with the authorities, in PEM, that sign the client certificates of API servers and of nobody else; callers of the webhooks need such a certificate. Read once, at start. Empty: whoever reaches the port is answered.")
	f.StringVar(&o.healthAddress, "health-probe-bind-address", o.healthAddress, "Address of /healthz and /readyz.")
	f.StringVar(&o.metricsAddress, "metrics-bind-address", o.metricsAddress, "Address of /metrics; 0 turns it off.")
	f.StringVar(&o.pprofAddress, "pprof-bind-address", o.pprofAddress, "Address of /debug/pprof, which is open to whoever reaches it, such as 127.0.0.1:6060; empty turns it off.")
	f.DurationVar(&o.defaultTTL, "default-ttl", o.defaultTTL, "How long a projection holds data where its pod names no ttl; 0 means max-ttl.")
	f.DurationVar(&o.maxTTL, "max-ttl", o.maxTTL, "The longest ttl that a pod may ask for; 0 means no bound.")
	o.verification.bind(cmd)
	o.accessLog.bind(cmd)
}
