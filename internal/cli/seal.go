package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"usersecrets.dev/operator/api/v1alpha1"
)

// SealOptions are those of 'kubectl usersecret seal'.
type SealOptions struct {
	sealing
	output output
}

func newSeal(env *Environment, c *cluster) *cobra.Command {
	o := &SealOptions{sealing: sealing{env: env, cluster: c}}
	cmd := &cobra.Command{
		Use:   "seal NAME [--from-file FILE | --from-env VARIABLE] [-o yaml]",
		Short: "Seal a value, and print it sealed",
		Long: `Seal a value, and print it sealed.

The value is asked for at the terminal and not shown; or it is read from a file,
standard input or an environment variable, but never from the command line. Of a
text in a file that ends in one newline, the newline is left out, unless
--keep-newline is given; all other bytes stay as they are.

What is printed opens only in this namespace and under this NAME, by the
operator. It may be kept in git. With -o yaml a whole UserSecret is printed.

The public key is the namespace's SealingKey, from the cluster, or without any
cluster from a file. The first key of a namespace is remembered; a key or an
owner that is not the remembered one is refused.`,
		Example: `  # Print a value sealed; it is asked for, and not shown
  kubectl usersecret seal openai -n alice

  # Write a manifest for git
  kubectl usersecret seal openai -n alice --provider openai -o yaml > openai.yaml

  # Seal what another program prints
  vault-export | kubectl usersecret seal openai -n alice --from-file -

  # Seal without a cluster, with a key that was saved before
  kubectl get sealingkey sealing-key -n alice -o yaml > alice-key.yaml
  kubectl usersecret seal openai --sealing-key alice-key.yaml --from-env OPENAI_API_KEY`,
		DisableFlagsInUseLine: true,
		Args:                  oneName,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Complete(args)
			if err := o.Validate(cmd); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	o.bind(cmd)
	o.output.bind(cmd, "json", "yaml", "kyaml")
	return cmd
}

// Complete takes the arguments.
func (o *SealOptions) Complete(args []string) { o.name = args[0] }

// Validate refuses what cannot work, before anything is asked or read.
func (o *SealOptions) Validate(cmd *cobra.Command) error {
	if err := o.output.validate(); err != nil {
		return err
	}
	if o.output.format == "" {
		if err := o.manifest.refuseGiven(cmd); err != nil {
			return err
		}
	}
	return o.validate()
}

// Run seals and prints.
func (o *SealOptions) Run(ctx context.Context) error {
	key, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	us, err := o.userSecret(ctx, key)
	if err != nil {
		return err
	}
	if o.output.format == "" {
		_, err = fmt.Fprintln(o.env.Out, us.Spec.EncryptedValue)
		return err
	}
	object, err := asManifest(v1alpha1.GroupVersion.WithKind("UserSecret"), us)
	if err != nil {
		return err
	}
	return o.output.print(o.env.Out, result{object: object})
}

// prepare finds the key and, for a manifest, what the value is. With a key from
// a file it reads no kubeconfig and calls no cluster.
func (o *SealOptions) prepare(ctx context.Context) (*sealingKey, error) {
	if o.keys.offline() {
		if o.output.format != "" {
			if err := o.manifest.settleOffline(); err != nil {
				return nil, err
			}
		}
		return o.keys.load(o.env, o.cluster.givenNamespace())
	}
	namespace, err := o.cluster.namespace()
	if err != nil {
		return nil, err
	}
	connection, err := o.cluster.connect()
	if err != nil {
		return nil, err
	}
	key, err := o.keys.fetch(ctx, o.env, connection, namespace)
	if err != nil || o.output.format == "" {
		return key, err
	}
	return key, o.manifest.settle(ctx, o.env, connection)
}
