package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// cluster is the one that the flags and the kubeconfig name. It is not talked
// to, and the kubeconfig is not read, before a command asks for something.
type cluster struct {
	env   *Environment
	flags *genericclioptions.ConfigFlags
}

// connection is a client, and where it leads.
type connection struct {
	client.Client
	// server is the URL of the API server.
	server string
}

// newCluster gives root, and so all commands, kubectl's flags.
func newCluster(env *Environment, root *cobra.Command) *cluster {
	flags := genericclioptions.NewConfigFlags(true)
	flags.CacheDir = nil // nothing is discovered, so nothing is cached
	flags.AddFlags(root.PersistentFlags())
	return &cluster{env: env, flags: flags}
}

// givenNamespace is what --namespace says; empty where it was not given.
func (c *cluster) givenNamespace() string { return *c.flags.Namespace }

// namespace is what --namespace says, else that of the kubeconfig's context,
// else "default".
func (c *cluster) namespace() (string, error) {
	namespace, _, err := c.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", badKubeconfig(err)
	}
	return namespace, nil
}

// connect makes a client. Warnings of the server go to standard error, each
// once.
func (c *cluster) connect() (*connection, error) {
	config, err := c.flags.ToRESTConfig()
	if err != nil {
		return nil, badKubeconfig(err)
	}
	if c.unconfigured(config) {
		return nil, errNoCluster
	}
	config.UserAgent = FieldManager + "/" + c.env.Version
	config.WarningHandler = rest.NewWarningWriter(c.env.ErrOut, rest.WarningWriterOptions{Deduplicate: true})
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("reading the server's address: %w", err)
	}
	api, err := c.env.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to the cluster: %w", err)
	}
	return &connection{Client: api, server: server.String()}, nil
}

// errNoCluster says that neither flags nor kubeconfig name a cluster.
var errNoCluster = errors.New("no cluster is configured: give --kubeconfig, or set KUBECONFIG; to seal without a cluster give --sealing-key")

func badKubeconfig(err error) error {
	if clientcmd.IsEmptyConfig(err) {
		return errNoCluster
	}
	return fmt.Errorf("reading the kubeconfig: %w; check --context and --kubeconfig", err)
}

// unconfigured says whether nothing names a cluster. Kubernetes' clients then
// try a port of this machine, and report that nobody answers there.
func (c *cluster) unconfigured(config *rest.Config) bool {
	kubeconfig, err := c.flags.ToRawKubeConfigLoader().RawConfig()
	return err == nil && len(kubeconfig.Clusters) == 0 && *c.flags.APIServer == "" && config.Host == clientcmd.ClusterDefaults.Server
}

// newClient makes a client that knows the few kinds of the plugin by itself and
// so spares every command the API server's discovery.
func newClient(config *rest.Config) (client.Client, error) {
	s, err := scheme()
	if err != nil {
		return nil, err
	}
	return client.New(config, client.Options{Scheme: s, Mapper: mapper()})
}

func scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, rbacv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			return nil, fmt.Errorf("registering kinds: %w", err)
		}
	}
	return s, nil
}

// mapper says under which path each kind is served. The mapper's own guess at a
// plural is "sealingkeies".
func mapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	add := func(group schema.GroupVersion, kind, resource string, scope meta.RESTScope) {
		m.AddSpecific(group.WithKind(kind), group.WithResource(resource), group.WithResource(strings.ToLower(kind)), scope)
	}
	add(corev1.SchemeGroupVersion, "Namespace", "namespaces", meta.RESTScopeRoot)
	add(rbacv1.SchemeGroupVersion, "RoleBinding", "rolebindings", meta.RESTScopeNamespace)
	add(corev1.SchemeGroupVersion, "Secret", "secrets", meta.RESTScopeNamespace)
	add(v1alpha1.GroupVersion, "EncryptionKey", "encryptionkeys", meta.RESTScopeRoot)
	add(v1alpha1.GroupVersion, "SecretProvider", "secretproviders", meta.RESTScopeRoot)
	add(v1alpha1.GroupVersion, "SealingKey", "sealingkeys", meta.RESTScopeNamespace)
	add(v1alpha1.GroupVersion, "UserSecret", "usersecrets", meta.RESTScopeNamespace)
	return m
}
