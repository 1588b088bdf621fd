package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/keyname"
)

// KeysRotateOptions are those of 'kubectl usersecret keys rotate'.
type KeysRotateOptions struct {
	env     *Environment
	cluster *cluster

	name    string
	watch   bool
	timeout time.Duration
}

var (
	errKeyName    = errors.New("NAME is no name of an encryption key: use lower case letters, digits and '-', at most 40 characters, such as v2; or leave it out")
	errKeyExists  = errors.New("exists already, and a key is made only once: leave NAME out for the next one")
	errOneKeyName = errors.New("one NAME at the most: leave it out for the next one")
	errNotDone    = errors.New("the rotation is not done yet; it goes on by itself: look again with 'kubectl usersecret keys list'")
)

func newKeysRotate(env *Environment, c *cluster) *cobra.Command {
	o := &KeysRotateOptions{env: env, cluster: c}
	cmd := &cobra.Command{
		Use:   "rotate [NAME] [--watch]",
		Short: "Make a new encryption key, and seal every value with it",
		Long: `Make a new encryption key, and seal every value with it.

The operator makes the key, publishes every user's public key anew, and seals
the stored values again, each in place. It goes on where it was after whatever
interrupts it. What a GitOps tool or a manifest keeps is not written: the value
sealed anew is offered in its status, for 'kubectl usersecret reseal'.

Without NAME the key is called v and the next number.`,
		Example: `  # Rotate
  kubectl usersecret keys rotate

  # Rotate, and see it done
  kubectl usersecret keys rotate --watch`,
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return errOneKeyName
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.name = args[0]
				if !keyname.Valid(o.name) {
					return errKeyName
				}
			}
			return o.Run(cmd.Context())
		},
	}
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "Wait until every value is sealed with the new key, and show how far it is.")
	cmd.Flags().DurationVar(&o.timeout, "timeout", time.Hour, "How long to wait with --watch.")
	return cmd
}

// Run makes the key.
func (o *KeysRotateOptions) Run(ctx context.Context) error {
	connection, err := o.cluster.connect()
	if err != nil {
		return err
	}
	if o.name == "" {
		keys, err := keysOf(ctx, connection)
		if err != nil {
			return err
		}
		o.name = keyname.Next(keys)
	}
	key := &v1alpha1.EncryptionKey{ObjectMeta: metav1.ObjectMeta{Name: o.name}}
	err = connection.Create(ctx, key, client.FieldOwner(FieldManager))
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("EncryptionKey %q %w", o.name, errKeyExists)
	}
	if err != nil {
		return fmt.Errorf("creating EncryptionKey %q: %w", o.name, err)
	}
	if _, err := fmt.Fprintf(o.env.Out, "encryptionkey.usersecrets.dev/%s created\n", o.name); err != nil || !o.watch {
		return err
	}
	return o.follow(ctx, connection)
}

// follow shows progress until nothing is left that the operator will do.
func (o *KeysRotateOptions) follow(ctx context.Context, from client.Reader) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	bar := newProgress(o.env, "sealing again")
	defer bar.end()
	var r rotation
	for {
		err := r.look(ctx, from, o.name)
		if err == nil && !r.over() {
			bar.show(r.done, r.total)
			err = pause(ctx, errNotDone)
		}
		switch {
		case ctx.Err() != nil:
			return whyEnded(ctx, errNotDone)
		case err != nil:
			return err
		case r.over():
			bar.show(r.done, r.total)
			bar.end()
			return o.conclude(&r)
		}
	}
}

func (o *KeysRotateOptions) conclude(r *rotation) error {
	text := fmt.Sprintf("%d of %d UserSecrets are sealed with %s\n", r.done, r.total, r.keyID)
	switch {
	case r.superseded:
		text = "a newer key took over meanwhile: see 'kubectl usersecret keys list'\n"
	case r.total == 0:
		text = fmt.Sprintf("no UserSecret is stored; new ones are sealed with %s\n", r.keyID)
	}
	for i := range r.left {
		left := &r.left[i]
		text += fmt.Sprintf("left: %s/%s: %s\n", left.Namespace, left.Name, oneLine(condition(left.Status.Conditions, v1alpha1.ConditionSealed).Message))
	}
	_, err := fmt.Fprint(o.env.Out, text)
	return err
}
