package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/keybackup"
	"usersecrets.dev/operator/internal/keyring"
)

// KeysBackupOptions are those of 'kubectl usersecret keys backup'.
type KeysBackupOptions struct {
	env     *Environment
	cluster *cluster

	file        string
	namespace   string
	recipients  []string
	passphrase  passphraseSource
	rootKeyFile string
}

var (
	errBackupFile = errors.New("give the FILE that the backup is to be written to")
	errFileExists = errors.New("exists already: a backup is never written over; name another")
	errNoMaterial = errors.New("holds no key material: name the operator's namespace with --operator-namespace, or see its log")
)

func newKeysBackup(env *Environment, c *cluster) *cobra.Command {
	o := &KeysBackupOptions{env: env, cluster: c}
	cmd := &cobra.Command{
		Use:   "backup FILE [--recipient AGE-RECIPIENT | --passphrase-file FILE] [--root-key-file FILE]",
		Short: "Write all key material to an encrypted file",
		Long: `Write all key material to an encrypted file.

The file is encrypted with age, to recipients or with a passphrase, which is
asked for. What it holds is still wrapped by the root key, so it opens values
only together with that. With --root-key-file the root key is put into the file
too, after it was tried on every key; without it, keep the root key elsewhere.

UserSecrets are not in it: they are ciphertext, and may be kept in the open, as
'kubectl get usersecrets -A -o yaml' prints them. Make a backup after every
rotation.`,
		Example: `  # With a passphrase, which is asked for
  kubectl usersecret keys backup keys.age

  # To the holder of an age key pair, with the root key
  kubectl usersecret keys backup keys.age --recipient age1… --root-key-file root.key`,
		DisableFlagsInUseLine: true,
		Args:                  oneFile(errBackupFile),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = args[0]
			return o.Run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&o.recipients, "recipient", "r", nil, "Encrypt to this age recipient, age1…; may be given more than once.")
	flags.StringVar(&o.rootKeyFile, "root-key-file", "", "Try the root key in this file on every key, and put it into the backup.")
	flags.StringVar(&o.namespace, "operator-namespace", v1alpha1.OperatorNamespace, "The operator's namespace.")
	o.passphrase.bind(cmd)
	return cmd
}

func oneFile(missing error) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return missing
		}
		return nil
	}
}

// Run reads, encrypts and writes.
func (o *KeysBackupOptions) Run(ctx context.Context) error {
	if _, err := os.Lstat(o.file); err == nil {
		return fmt.Errorf("%s %w", o.file, errFileExists)
	}
	connection, err := o.cluster.connect()
	if err != nil {
		return err
	}
	secrets, err := materialIn(ctx, connection, o.namespace)
	if err != nil {
		return err
	}
	if len(secrets) == 0 {
		return fmt.Errorf("namespace %q %w", o.namespace, errNoMaterial)
	}
	backup := keybackup.Backup{CreatedAt: o.env.Now().UTC(), Server: connection.server}
	for i := range secrets {
		backup.Secrets = append(backup.Secrets, keybackup.FromSecret(&secrets[i]))
	}
	if backup.RootKey, err = o.rootKey(ctx, secrets); err != nil {
		return err
	}
	to, err := recipients(ctx, o.env, o.recipients, &o.passphrase)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := keybackup.Write(&text, backup, to...); err != nil {
		return err
	}
	if err := writeNew(o.file, text.Bytes()); err != nil {
		return err
	}
	return o.tell(&backup)
}

// writeNew writes a file that must not be there, for its owner alone.
func writeNew(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s %w", path, errFileExists)
	}
	if err != nil {
		return fmt.Errorf("writing the file: %w", err)
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// rootKey is the text of the root key, where it is to be in the backup: one that
// opens nothing would be found out on the day that it is needed.
func (o *KeysBackupOptions) rootKey(ctx context.Context, secrets []corev1.Secret) (string, error) {
	if o.rootKeyFile == "" {
		return "", nil
	}
	content, err := os.ReadFile(o.rootKeyFile)
	if err != nil {
		return "", fmt.Errorf("reading the root key: %w; name a file that you may read", err)
	}
	defer clear(content)
	roots, err := keyring.ParseRootKeys(string(content))
	if err != nil {
		return "", fmt.Errorf("%s: %w", o.rootKeyFile, err)
	}
	for i := range secrets {
		if err := keyring.Verify(ctx, &secrets[i], roots); err != nil {
			return "", fmt.Errorf("trying the root key: %w", err)
		}
	}
	return strings.TrimSpace(string(content)), nil
}

func (o *KeysBackupOptions) tell(b *keybackup.Backup) error {
	if _, err := fmt.Fprintf(o.env.Out, "%s holds %d Secrets with key material\n", o.file, len(b.Secrets)); err != nil {
		return err
	}
	if b.RootKey != "" {
		_, err := fmt.Fprintln(o.env.Out, "the root key is in it, and opens all of them")
		return err
	}
	_, err := fmt.Fprintf(o.env.Out, "to use it takes root key %s, which is not in it: keep that elsewhere\n", oneLine(strings.Join(rootsOf(b), ", ")))
	return err
}

// rootsOf are the ids of the root keys that wrap what is in a backup.
func rootsOf(b *keybackup.Backup) []string {
	var ids []string
	for _, s := range b.Secrets {
		ids = append(ids, s.RootKeyID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// materialIn lists the Secrets with key material.
func materialIn(ctx context.Context, from *connection, namespace string) ([]corev1.Secret, error) {
	list := &corev1.SecretList{}
	if err := from.List(ctx, list, client.InNamespace(namespace), client.HasLabels{keyring.MaterialLabel}); err != nil {
		return nil, fmt.Errorf("reading key material in namespace %q: %w", namespace, err)
	}
	return list.Items, nil
}
