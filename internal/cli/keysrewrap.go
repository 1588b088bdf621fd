package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	errNotRewrapped = errors.New("the operator has not wrapped the key material anew yet: see its log, and that the new root key is the first that it was given")
)

func newKeysRewrapRoot(env *Environment, c *cluster) *cobra.Command {
	o := &KeysRewrapRootOptions{env: env, cluster: c}
	cmd := &cobra.Command{
		Use:   "rewrap-root [--timeout DURATION]",
		Short: "Wrap all key material by the first root key",
		Long: `Wrap all key material by the first root key.

To replace a root key, give the operator both: the new one first, then the old
one. Then have all key material wrapped by the new one with this command. It
says when the old one is no longer needed.`,
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
	active := slices.IndexFunc(before, func(key v1alpha1.EncryptionKey) bool { return key.Status.Phase == v1alpha1.KeyActive })
	if active < 0 {
		return errNoActiveKey
	}
	asked := o.env.Now().UTC().Format(time.RFC3339Nano)
	key := &before[active]
	patch := client.MergeFrom(key.DeepCopy())
	if key.Annotations == nil {
		key.Annotations = map[string]string{}
	}
	key.Annotations[v1alpha1.RewrapRequestedAtAnnotation] = asked
	if err := connection.Patch(ctx, key, patch, client.FieldOwner(FieldManager)); err != nil {
		return fmt.Errorf("asking for it on EncryptionKey %q: %w", key.Name, err)
	}
	if err := o.wait(ctx, connection, key.Name, asked); err != nil {
		return err
	}
	return o.tell(ctx, connection, before)
}

func keysOf(ctx context.Context, from *connection) ([]v1alpha1.EncryptionKey, error) {
	list := &v1alpha1.EncryptionKeyList{}
	if err := from.List(ctx, list); err != nil {
		return nil, fmt.Errorf("listing encryption keys: %w", err)
	}
	return list.Items, nil
}

func (o *KeysRewrapRootOptions) wait(ctx context.Context, from *connection, name, asked string) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	for {
		key := &v1alpha1.EncryptionKey{}
		err := from.Get(ctx, types.NamespacedName{Name: name}, key)
		switch {
		case err == nil && key.Status.RewrapRequest == asked:
			return nil
		case err != nil && ctx.Err() == nil:
			return fmt.Errorf("reading EncryptionKey %q: %w", name, err)
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return errNotRewrapped
			}
			return errInterrupted
		case <-time.After(poll):
		}
	}
}

// tell waits no longer: the statuses were written right after the request's.
func (o *KeysRewrapRootOptions) tell(ctx context.Context, from *connection, before []v1alpha1.EncryptionKey) error {
	after, err := keysOf(ctx, from)
	if err != nil {
		return err
	}
	was, is := rootKeysOf(before), rootKeysOf(after)
	if _, err := fmt.Fprintf(o.env.Out, "%d encryption keys are wrapped by %s\n", len(after), oneLine(strings.Join(is, ", "))); err != nil {
		return err
	}
	for _, old := range was {
		if slices.Contains(is, old) {
			continue
		}
		if _, err := fmt.Fprintf(o.env.Out, "root key %s is no longer needed in this cluster; keep it as long as you keep backups that were made with it\n", oneLine(old)); err != nil {
			return err
		}
	}
	return nil
}

// rootKeysOf are the root keys that wrap something, each once.
func rootKeysOf(keys []v1alpha1.EncryptionKey) []string {
	var ids []string
	for i := range keys {
		if id := keys[i].Status.RootKeyID; id != "" {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
