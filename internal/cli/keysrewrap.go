package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// KeysRewrapRootOptions are those of 'kubectl usersecret keys rewrap-root'.
type KeysRewrapRootOptions struct {
	env     *Environment
	cluster *cluster
	timeout time.Duration
}

var (
	errNoActiveKey  = errors.New("no encryption key is active: see 'kubectl usersecret keys list' for the reason")
	errNotRewrapped = errors.New("the operator has not wrapped the key material anew yet: see its log, and that it runs with every root key that 'kubectl usersecret keys list' names")
)

func newKeysRewrapRoot(env *Environment, c *cluster) *cobra.Command {
	o := &KeysRewrapRootOptions{env: env, cluster: c}
	cmd := &cobra.Command{
		Use:   "rewrap-root [--timeout DURATION]",
		Short: "Wrap all key material by the first root key",
		Long: `Wrap all key material by the first root key.

To replace a root key, give the operator both: the new one first, then the old
one. Then have all key material wrapped by the new one with this command. It
says when the old one is no longer needed. Encryption keys and UserSecrets stay
as they are.`,
		Example: `  # After the operator was started with --root-key NEW --root-key OLD
  kubectl usersecret keys rewrap-root`,
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE:                  func(cmd *cobra.Command, _ []string) error { return o.Run(cmd.Context()) },
	}
	cmd.Flags().DurationVar(&o.timeout, "timeout", time.Minute, "How long to wait for the operator.")
	return cmd
}

// Run asks, waits, and tells.
func (o *KeysRewrapRootOptions) Run(ctx context.Context) error {
	connection, err := o.cluster.connect()
	if err != nil {
		return err
	}
	before, err := keysOf(ctx, connection)
	if err != nil {
		return err
	}
	was := rootKeysOf(before)
	active := slices.IndexFunc(before, func(key v1alpha1.EncryptionKey) bool { return key.Status.Phase == v1alpha1.KeyActive })
	if active < 0 {
		return errNoActiveKey
	}
	asked, err := o.ask(ctx, connection, &before[active])
	if err != nil {
		return err
	}
	if err := o.wait(ctx, connection, before[active].Name, asked); err != nil {
		return err
	}
	return o.tell(ctx, connection, was)
}

// ask notes the request on an EncryptionKey, and is how the answer is told.
func (o *KeysRewrapRootOptions) ask(ctx context.Context, to client.Writer, key *v1alpha1.EncryptionKey) (string, error) {
	asked := o.env.Now().UTC().Format(time.RFC3339Nano)
	patch := client.MergeFrom(key.DeepCopy())
	if key.Annotations == nil {
		key.Annotations = map[string]string{}
	}
	key.Annotations[v1alpha1.RewrapRequestedAtAnnotation] = asked
	if err := to.Patch(ctx, key, patch, client.FieldOwner(FieldManager)); err != nil {
		return "", fmt.Errorf("asking for it on EncryptionKey %q: %w", key.Name, err)
	}
	return asked, nil
}

func (o *KeysRewrapRootOptions) wait(ctx context.Context, from client.Reader, name, asked string) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	for {
		key := &v1alpha1.EncryptionKey{}
		err := from.Get(ctx, types.NamespacedName{Name: name}, key)
		switch {
		case ctx.Err() != nil:
			return whyEnded(ctx, errNotRewrapped)
		case err != nil:
			return fmt.Errorf("reading EncryptionKey %q: %w", name, err)
		case key.Status.RewrapRequest == asked:
			return nil
		}
		if err := pause(ctx, errNotRewrapped); err != nil {
			return err
		}
	}
}

// tell waits no longer: the operator answers after all statuses were written.
func (o *KeysRewrapRootOptions) tell(ctx context.Context, from client.Reader, was []string) error {
	after, err := keysOf(ctx, from)
	if err != nil {
		return err
	}
	is := rootKeysOf(after)
	text := fmt.Sprintf("%d encryption keys are wrapped by %s\n", len(after), each(is))
	switch {
	case len(is) > 1:
		text = fmt.Sprintf("encryption keys are wrapped by several root keys still, %s: see 'kubectl usersecret keys list' for the reason\n", each(is))
	case slices.Equal(was, is):
		text += "nothing is to be done: to replace the root key, give the operator the new one first, then this one, and restart it\n"
	}
	for _, old := range was {
		if !slices.Contains(is, old) {
			text += fmt.Sprintf("root key %s is no longer needed in this cluster; keep it as long as you keep backups that were made with it\n", oneLine(old))
		}
	}
	_, err = fmt.Fprint(o.env.Out, text)
	return err
}

// rootKeysOf are the root keys that wrap something, each once.
func rootKeysOf(keys []v1alpha1.EncryptionKey) []string {
	var ids []string
	for i := range keys {
		if id := keys[i].Status.RootKeyID; id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}
