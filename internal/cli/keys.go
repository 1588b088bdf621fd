package cli

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"usersecrets.dev/operator/api/v1alpha1"
)

func newKeys(env *Environment, c *cluster) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "List, rotate, back up and restore the vault's encryption keys",
		Long: `List, rotate, back up and restore the vault's encryption keys.

These are for administrators. A rotation makes a new encryption key and seals
every stored value again with it; values stay as they are, and pods notice
nothing.`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeysList(env, c), newKeysRotate(env, c), newKeysRewrapRoot(env, c), newKeysBackup(env, c), newKeysRestore(env, c))
	return cmd
}

// KeysListOptions are those of 'kubectl usersecret keys list'.
type KeysListOptions struct {
	env     *Environment
	cluster *cluster
}

func newKeysList(env *Environment, c *cluster) *cobra.Command {
	o := &KeysListOptions{env: env, cluster: c}
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List encryption keys, and how much each still seals",
		Example: `  # See which key is active, and how far a rotation is
  kubectl usersecret keys list`,
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE:                  func(cmd *cobra.Command, _ []string) error { return o.Run(cmd.Context()) },
	}
}

// Run prints.
func (o *KeysListOptions) Run(ctx context.Context) error {
	connection, err := o.cluster.connect()
	if err != nil {
		return err
	}
	list := &v1alpha1.EncryptionKeyList{}
	if err := connection.List(ctx, list); err != nil {
		return fmt.Errorf("listing encryption keys: %w", err)
	}
	table := tabwriter.NewWriter(o.env.Out, 6, 4, 3, ' ', 0)
	if _, err := fmt.Fprintln(table, "NAME\tKEY\tPHASE\tSECRETS\tPROGRESS\tREASON\tROOT KEY\tAGE"); err != nil {
		return err
	}
	now := o.env.Now()
	for i := range list.Items {
		key := &list.Items[i]
		if _, err := fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", key.Name, orNone(key.Status.KeyID), orNone(string(key.Status.Phase)), key.Status.SealedSecrets,
			orNone(key.Status.Progress), keyReason(key), oneLine(orNone(key.Status.RootKeyID)), since(&key.CreationTimestamp, now)); err != nil {
			return err
		}
	}
	return table.Flush()
}

func keyReason(key *v1alpha1.EncryptionKey) string {
	if c := condition(key.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		return c.Reason
	}
	return none
}
