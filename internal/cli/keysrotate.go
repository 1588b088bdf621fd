package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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

// poll is how often something that takes time is looked at.
const poll = 500 * time.Millisecond

func newKeysRotate(env *Environment, c *cluster) *cobra.Command {
	o := &KeysRotateOptions{env: env, cluster: c}
	cmd := &cobra.Command{
		Use:   "rotate [NAME] [--watch]",
		Short: "Make a new encryption key, and seal every value with it",
		Long: `Make a new encryption key, and seal every value with it.

The operator makes the key, publishes every user's public key anew, and seals
the stored values again, each in place. It goes on where it was after whatever
interrupts it. What a GitOps tool or a manifest keeps is not written: the value
sealed anew is offered in its status, for 'kubectl usersecret reseal'.`,
		Example: `  # Rotate, and see it done
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
	if o.name != "" && !keyname.Valid(o.name) {
		return errKeyName
	}
	connection, err := o.cluster.connect()
	if err != nil {
		return err
	}
	if o.name == "" {
		list := &v1alpha1.EncryptionKeyList{}
		if err := connection.List(ctx, list); err != nil {
			return fmt.Errorf("listing encryption keys: %w", err)
		}
		o.name = keyname.Next(list.Items)
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
func (o *KeysRotateOptions) follow(ctx context.Context, from *connection) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	bar := newProgress(o.env, "sealing again")
	for {
		now, err := observeRotation(ctx, from, o.name)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil {
			bar.show(now.done, now.total)
			switch {
			case now.superseded != "":
				bar.end()
				_, err := fmt.Fprintf(o.env.Out, "%s took over meanwhile\n", now.superseded)
				return err
			case now.ended():
				bar.end()
				return o.conclude(now)
			}
		}
		select {
		case <-ctx.Done():
			bar.end()
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return errNotDone
			}
			return errInterrupted
		case <-time.After(poll):
		}
	}
}

func (o *KeysRotateOptions) conclude(now rotation) error {
	if _, err := fmt.Fprintf(o.env.Out, "%d of %d UserSecrets are sealed with %s\n", now.done, now.total, now.keyID); err != nil {
		return err
	}
	for _, left := range now.left {
		if _, err := fmt.Fprintf(o.env.Out, "left: %s/%s: %s\n", left.Namespace, left.Name, oneLine(sealedMessage(&left))); err != nil {
			return err
		}
	}
	return nil
}

// rotation is how far a rotation towards one key is.
type rotation struct {
	keyID       string
	done, total int
	// left are those that the operator will not seal again by itself.
	left       []v1alpha1.UserSecret
	superseded string
}

func (r rotation) ended() bool { return r.keyID != "" && r.done+len(r.left) == r.total }

func observeRotation(ctx context.Context, from *connection, name string) (rotation, error) {
	key := &v1alpha1.EncryptionKey{}
	if err := from.Get(ctx, types.NamespacedName{Name: name}, key); err != nil {
		return rotation{}, fmt.Errorf("reading EncryptionKey %q: %w", name, err)
	}
	r := rotation{keyID: key.Status.KeyID}
	if key.Status.Phase == v1alpha1.KeyRetiring || key.Status.Phase == v1alpha1.KeyRetired {
		r.superseded = "a newer key"
		return r, nil
	}
	list := &v1alpha1.UserSecretList{}
	for {
		if err := from.List(ctx, list, client.Limit(chunk), client.Continue(list.Continue)); err != nil {
			return rotation{}, fmt.Errorf("listing UserSecrets: %w", err)
		}
		for i := range list.Items {
			r.count(&list.Items[i])
		}
		if list.Continue == "" {
			return r, nil
		}
	}
}

func (r *rotation) count(us *v1alpha1.UserSecret) {
	r.total++
	sealed := condition(us.Status.Conditions, v1alpha1.ConditionSealed)
	switch {
	case us.Status.KeyID == r.keyID && us.Status.ObservedGeneration == us.Generation:
		r.done++
	case sealed == nil || us.Status.ObservedGeneration != us.Generation:
		// not looked at yet
	case sealed.Reason == v1alpha1.ReasonStaleKey, sealed.Status == metav1.ConditionFalse:
		r.left = append(r.left, *us)
	}
}

func sealedMessage(us *v1alpha1.UserSecret) string {
	if c := condition(us.Status.Conditions, v1alpha1.ConditionSealed); c != nil {
		return c.Message
	}
	return unknown
}

func condition(conditions []metav1.Condition, name string) *metav1.Condition {
	return meta.FindStatusCondition(conditions, name)
}
