package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/secretvalue"
)

// CreateOptions are those of 'kubectl usersecret create'.
type CreateOptions struct {
	sealing
	output output
	dryRun dryRun
	test   pretest
}

// errExists refuses to write over what is there.
var errExists = errors.New("it exists already")

func newCreate(env *Environment, c *cluster) *cobra.Command {
	o := &CreateOptions{sealing: sealing{env: env, cluster: c}}
	cmd := &cobra.Command{
		Use:   "create NAME --provider PROVIDER [--from-file FILE | --from-env VARIABLE]",
		Short: "Seal a value on this machine, and store it as a UserSecret",
		Long: `Seal a value on this machine, and store it as a UserSecret.

The value is asked for at the terminal and not shown; or it is read from a file,
standard input or an environment variable, but never from the command line. Of a
text in a file that ends in one newline, the newline is left out, unless
--keep-newline is given; all other bytes stay as they are.

Without --provider you choose from a list. A UserSecret that exists already is
left as it is.`,
		Example: `  # Store an OpenAI key; it is asked for, and not shown
  kubectl usersecret create openai --provider openai

  # Store a token from a file, until a day to come
  kubectl usersecret create slack --provider slack --type oauth_token --from-file token.txt --expires-at 90d

  # Store a key where OpenAI accepts it
  kubectl usersecret create openai --provider openai --test

  # Have the API server check it, and store nothing
  kubectl usersecret create openai --provider openai --from-env OPENAI_API_KEY --dry-run=server`,
		DisableFlagsInUseLine: true,
		Args:                  oneName,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Complete(args)
			if err := o.Validate(); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	o.bind(cmd)
	o.output.bind(cmd, "json", "yaml", "kyaml", "name")
	o.dryRun.bind(cmd)
	o.test.bind(cmd)
	return cmd
}

// Complete takes the arguments.
func (o *CreateOptions) Complete(args []string) { o.name = args[0] }

// Validate refuses what cannot work, before anything is asked or read.
func (o *CreateOptions) Validate() error {
	if err := o.output.validate(); err != nil {
		return err
	}
	if err := o.dryRun.validate(); err != nil {
		return err
	}
	if err := o.test.validate(o.dryRun); err != nil {
		return err
	}
	return o.validate()
}

// Run seals, stores and prints.
func (o *CreateOptions) Run(ctx context.Context) error {
	connection, key, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	us, err := o.userSecret(ctx, key)
	if err != nil {
		return err
	}
	if err := o.store(ctx, connection, us); err != nil {
		return err
	}
	object, err := asManifest(v1alpha1.GroupVersion.WithKind("UserSecret"), us)
	if err != nil {
		return err
	}
	return o.output.print(o.env.Out, result{object: object, operation: o.dryRun.operation("created")})
}

// prepare does all that needs no value, so that nobody types one for nothing.
func (o *CreateOptions) prepare(ctx context.Context) (*connection, *sealingKey, error) {
	namespace, err := o.cluster.namespace()
	if err != nil {
		return nil, nil, err
	}
	connection, err := o.cluster.connect()
	if err != nil {
		return nil, nil, err
	}
	key, err := o.key(ctx, connection, namespace)
	if err != nil {
		return nil, nil, err
	}
	if err := o.manifest.settle(ctx, o.env, connection); err != nil {
		return nil, nil, err
	}
	return connection, key, o.prepareTest()
}

// prepareTest has the value tested between its being read and its being sealed.
func (o *CreateOptions) prepareTest() error {
	switch entry := o.manifest.entry; {
	case !o.test.wanted:
	case entry == nil:
		return errTestNoCatalogue
	default:
		o.check = func(ctx context.Context, value secretvalue.Value) error {
			return o.test.check(ctx, o.env, entry, value)
		}
	}
	return nil
}

func (o *CreateOptions) key(ctx context.Context, from *connection, namespace string) (*sealingKey, error) {
	if o.keys.offline() {
		return o.keys.load(o.env, namespace)
	}
	return o.keys.fetch(ctx, o.env, from, namespace)
}

// store creates, so that what is there is never replaced by accident.
func (o *CreateOptions) store(ctx context.Context, to client.Writer, us *v1alpha1.UserSecret) error {
	if o.dryRun.client() {
		return nil
	}
	options := []client.CreateOption{client.FieldOwner(FieldManager)}
	if o.dryRun.server() {
		options = append(options, client.DryRunAll)
	}
	err := to.Create(ctx, us, options...)
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating UserSecret %q in namespace %q: %w; choose another name, or seal the new value with 'kubectl usersecret seal %s' and set it as spec.encryptedValue", us.Name, us.Namespace, errExists, us.Name)
	}
	if err != nil {
		return fmt.Errorf("creating UserSecret %q in namespace %q: %w", us.Name, us.Namespace, err)
	}
	return nil
}
