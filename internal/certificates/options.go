package certificates

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/clock"

	"usersecrets.dev/operator/api/v1alpha1"
)

// DefaultSecretName is the CA's Secret. It does not start with "usersecret-",
// which is reserved to projections.
const DefaultSecretName = "webhook-ca"

// ErrOptions is wrapped by what [New] returns for options that cannot work.
var ErrOptions = errors.New("invalid certificate options")

// Options say whom a [Rotator] serves and where its objects lie.
type Options struct {
	// Namespace is the operator's: of the CA's Secret and the webhook Service. Required.
	Namespace string
	// Service is the name of the webhook Service. Required.
	Service string
	// Hosts and IPs are further names that API servers call the webhooks by, for
	// configurations that hold a URL.
	Hosts []string
	IPs   []net.IP
	// SecretName is the CA's Secret; empty means [DefaultSecretName].
	SecretName string
	// ConfigurationName is the name of both webhook configurations; empty means
	// [v1alpha1.OperatorName].
	ConfigurationName string
	// Clock tells the time; nil means the system's.
	Clock clock.PassiveClock
}

func (o Options) withDefaults() Options {
	o.SecretName = cmp.Or(o.SecretName, DefaultSecretName)
	o.ConfigurationName = cmp.Or(o.ConfigurationName, v1alpha1.OperatorName)
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	return o
}

func (o Options) validate() error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrOptions}, args...)...)
	}
	if problems := validation.IsDNS1123Label(o.Namespace); problems != nil {
		return refuse("namespace %q: %s", o.Namespace, strings.Join(problems, "; "))
	}
	if problems := validation.IsDNS1035Label(o.Service); problems != nil {
		return refuse("service %q: %s", o.Service, strings.Join(problems, "; "))
	}
	if strings.HasPrefix(o.SecretName, v1alpha1.ProjectionNamePrefix) {
		return refuse("secret %q: names that start with %q are reserved to projections", o.SecretName, v1alpha1.ProjectionNamePrefix)
	}
	for _, host := range o.Hosts {
		if net.ParseIP(host) != nil {
			return refuse("host %q is an address: list it as an IP instead", host)
		}
		if problems := validation.IsDNS1123Subdomain(host); problems != nil {
			return refuse("host %q: %s", host, strings.Join(problems, "; "))
		}
	}
	return nil
}

// names are those by which API servers call a Service, and the further ones.
func (o Options) names() names {
	service := o.Service + "." + o.Namespace + ".svc"
	return names{
		hosts:     append([]string{service, service + ".cluster.local"}, o.Hosts...),
		addresses: o.IPs,
	}
}
