package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

func newKeys(env *Environment, c *cluster) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "List, rotate, back up and restore the vault's encryption keys",
		Long: `List, rotate, back up and restore the vault's encryption keys.

These are for administrators. A rotation makes a new encryption key and seals
every stored value again with it; values stay as they are, and pods notice
nothing. The ClusterRole usersecret-key-admin has the rights; backup and restore
take the Role usersecret-key-backup in the operator's namespace besides.`,
		Example: `  # See which key is active, and how far a rotation is
  kubectl usersecret keys list

  # Rotate, see it done, and make a backup
  kubectl usersecret keys rotate --watch
  kubectl usersecret keys backup keys-2026-06-01.age`,
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

	noHeaders bool
}

func newKeysList(env *Environment, c *cluster) *cobra.Command {
	o := &KeysListOptions{env: env, cluster: c}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List encryption keys, and how much each still seals",
		Long: `List encryption keys, and how much each still seals.

New values are sealed with the Active key. A Retiring key still seals stored
values; a Retired one seals none, and may be deleted once no manifest and no
backup of UserSecrets needs it.`,
		Example: `  # See which key is active, and how far a rotation is
  kubectl usersecret keys list`,
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE:                  func(cmd *cobra.Command, _ []string) error { return o.Run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&o.noHeaders, "no-headers", false, "Print no column headers.")
	return cmd
}

// Run prints.
func (o *KeysListOptions) Run(ctx context.Context) error {
	connection, err := o.cluster.connect()
	if err != nil {
		return err
	}
	keys, err := keysOf(ctx, connection)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		_, err := fmt.Fprintln(o.env.ErrOut, "No encryption keys found: the operator makes the first one when it starts.")
		return err
	}
	table := &metav1.Table{}
	for _, header := range []string{"NAME", "KEY", "PHASE", "SECRETS", "PROGRESS", "REASON", "ROOT KEY", "AGE"} {
		table.ColumnDefinitions = append(table.ColumnDefinitions, metav1.TableColumnDefinition{Name: header, Type: "string"})
	}
	for i := range keys {
		table.Rows = append(table.Rows, o.row(&keys[i]))
	}
	return printers.NewTablePrinter(printers.PrintOptions{NoHeaders: o.noHeaders}).PrintObj(table, o.env.Out)
}

func (o *KeysListOptions) row(key *v1alpha1.EncryptionKey) metav1.TableRow {
	status := &key.Status
	reason := none
	if c := condition(status.Conditions, v1alpha1.ConditionReady); c != nil {
		reason = c.Reason
	}
	row := metav1.TableRow{}
	for _, cell := range []string{
		key.Name, orNone(status.KeyID), orNone(string(status.Phase)), strconv.FormatInt(status.SealedSecrets, 10),
		orNone(status.Progress), reason, orNone(status.RootKeyID), since(&key.CreationTimestamp, o.env.Now()),
	} {
		row.Cells = append(row.Cells, oneLine(cell))
	}
	return row
}

// keysOf lists the EncryptionKeys.
func keysOf(ctx context.Context, from client.Reader) ([]v1alpha1.EncryptionKey, error) {
	list := &v1alpha1.EncryptionKeyList{}
	if err := from.List(ctx, list); err != nil {
		return nil, fmt.Errorf("listing encryption keys: %w", err)
	}
	return list.Items, nil
}

// each is texts in the alphabet's order, each once, on one line.
func each(texts []string) string {
	return oneLine(strings.Join(slices.Compact(slices.Sorted(slices.Values(texts))), ", "))
}

func condition(conditions []metav1.Condition, name string) *metav1.Condition {
	return meta.FindStatusCondition(conditions, name)
}
