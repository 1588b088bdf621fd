package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"usersecrets.dev/operator/api/v1alpha1"
)

// OnboardOptions are those of 'kubectl usersecret onboard'.
type OnboardOptions struct {
	env     *Environment
	cluster *cluster

	user       string
	namespace  string
	annotation string
	applied    bool
	output     output
	dryRun     dryRun
}

var (
	errNoUser       = errors.New("USER is missing: give the username as the cluster knows it; 'kubectl auth whoami' tells you yours")
	errOneUser      = errors.New("one USER at a time: a username with spaces goes in quotation marks")
	errAnnotation   = errors.New("--owner-annotation is no annotation key: it is like example.com/owner")
	errReserved     = errors.New("belongs to the cluster itself, and to no user: name another with --namespace")
	errDryRunApply  = errors.New("--dry-run=server checks what --apply would do: add --apply")
	errNameOnly     = errors.New("--output=name says what was applied: add --apply, or leave it out to see the manifests")
	errAnotherOwner = errors.New("has another owner: a namespace belongs to one user; name another with --namespace")
	errUnclaimed    = errors.New("exists already and has no owner: to give it to this user with all that is in it, name it with --namespace")
	errGoing        = errors.New("is being deleted: wait for its end, or name another with --namespace")
)

func newOnboard(env *Environment, c *cluster) *cobra.Command {
	o := &OnboardOptions{env: env, cluster: c}
	cmd := &cobra.Command{
		Use:   "onboard USER [--namespace NAMESPACE] [--apply]",
		Short: "Give a user a namespace for secrets",
		Long: `Give a user a namespace for secrets.

Prints, or with --apply applies, the namespace with the annotation that names
its owner, and a RoleBinding of the ClusterRole usersecret-owner to the user.
The operator then publishes the namespace's sealing key there.

USER is the username as the API server knows it, which 'kubectl auth whoami'
shows; a service account's is system:serviceaccount:NAMESPACE:NAME. Without
--namespace the namespace is named after the user: in lower case, with '-' for
whatever a name cannot have.

Applying takes the verb assign-owner on namespaces; the ClusterRole
usersecret-onboarder has all that is needed.`,
		Example: `  # Show what alice's namespace takes
  kubectl usersecret onboard alice

  # Make it
  kubectl usersecret onboard alice@example.com --namespace alice --apply

  # Give a namespace to a service account
  kubectl usersecret onboard system:serviceaccount:ci:builder --apply`,
		DisableFlagsInUseLine: true,
		Args:                  oneUser,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.Complete(args); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&o.applied, "apply", false, "Apply to the cluster instead of printing.")
	cmd.Flags().StringVar(&o.annotation, "owner-annotation", v1alpha1.OwnerAnnotation, "Key of the annotation that names a namespace's owner, where the operator was told another.")
	o.output.bind(cmd, "json", "yaml", "kyaml", "name")
	o.dryRun.bind(cmd)
	return cmd
}

func oneUser(_ *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return errNoUser
	case len(args) > 1:
		return errOneUser
	}
	return nil
}

// Complete takes the user, and names the namespace.
func (o *OnboardOptions) Complete(args []string) error {
	o.user = args[0]
	if err := checkUsername(o.user); err != nil {
		return err
	}
	// The kubeconfig's namespace is where its user works, and never meant here.
	if o.namespace = o.cluster.givenNamespace(); o.namespace != "" {
		return nil
	}
	var err error
	o.namespace, err = namespaceOf(o.user)
	return err
}

// Validate refuses what cannot work, before anything is read.
func (o *OnboardOptions) Validate() error {
	switch {
	case len(validation.IsDNS1123Label(o.namespace)) > 0:
		return errNamespace
	case reserved(o.namespace):
		return fmt.Errorf("namespace %q %w", o.namespace, errReserved)
	case len(validation.IsQualifiedName(o.annotation)) > 0:
		return errAnnotation
	case !o.applied && o.dryRun.server():
		return errDryRunApply
	case !o.applied && o.output.format == "name":
		return errNameOnly
	}
	if err := o.output.validate(); err != nil {
		return err
	}
	return o.dryRun.validate()
}

// Run prints or applies.
func (o *OnboardOptions) Run(ctx context.Context) error {
	plan, err := newOnboarding(o.user, o.namespace, o.annotation)
	if err != nil {
		return err
	}
	if !o.applied {
		if o.output.format == "" {
			o.output.format = "yaml"
		}
		return o.output.print(o.env.Out, result{object: plan.namespace}, result{object: plan.binding})
	}
	results, err := o.apply(ctx, plan)
	// What was done is told also where the rest failed.
	return errors.Join(err, o.output.print(o.env.Out, results...))
}
