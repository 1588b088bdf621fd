package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
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
	errBackupFile    = errors.New("FILE is missing: give the file that the backup is to be written to")
	errFileExists    = errors.New("exists already, and nothing is written over: name another file")
	errNoMaterial    = errors.New("holds no key material: name the operator's namespace with --operator-namespace, or see its log")
	errNoRootKeyFile = errors.New("the file that --root-key-file names holds no root key: it is 32 bytes in hexadecimal or base64, as the operator was given; leave the flag out for one in a KMS")
	errOtherRootKey  = errors.New("the root key that --root-key-file names is another: give that, or leave the flag out and keep the root key elsewhere")
)

func newKeysBackup(env *Environment, c *cluster) *cobra.Command {
	o := &KeysBackupOptions{env: env, cluster: c}
	cmd := &cobra.Command{
		Use:   "backup FILE [--recipient RECIPIENT | --passphrase-file FILE] [--root-key-file FILE]",
		Short: "Write all key material to an encrypted file",
		Long: `Write all key material to an encrypted file.

The file is encrypted with age, to recipients or with a passphrase, which is
asked for. What it holds is still wrapped by the root key, so it opens values
only together with that. With --root-key-file the root key is put into the file
too, after it was tried on every key; without it, keep the root key elsewhere.

UserSecrets are not in it: they are ciphertext, and may be kept in the open, as
'kubectl get usersecrets -A -o yaml' prints them. Make a backup after every
rotation, and after a root key was replaced.`,
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

var errOneFile = errors.New("one FILE at a time")

func oneFile(missing error) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return missing
		case 1:
			return nil
		default:
			return errOneFile
		}
	}
}

// Run reads, encrypts and writes.
func (o *KeysBackupOptions) Run(ctx context.Context) error {
	to, err := recipientsOf(o.recipients, &o.passphrase)
	if err != nil {
		return err
	}
	if err := mustBeNew(o.file); err != nil {
		return err
	}
	backup, err := o.collect(ctx)
	if err != nil {
		return err
	}
	// Last, so that nobody types a passphrase for nothing.
	if to == nil {
		if to, err = o.passphrase.chosen(ctx, o.env); err != nil {
			return err
		}
	}
	var text bytes.Buffer
	if err := keybackup.Write(&text, *backup, to...); err != nil {
		return err
	}
	if err := writeNew(o.file, text.Bytes()); err != nil {
		return err
	}
	return o.tell(backup)
}

func (o *KeysBackupOptions) collect(ctx context.Context) (*keybackup.Backup, error) {
	connection, err := o.cluster.connect()
	if err != nil {
		return nil, err
	}
	secrets, err := materialIn(ctx, connection, o.namespace)
	if err != nil {
		return nil, err
	}
	if len(secrets) == 0 {
		return nil, fmt.Errorf("namespace %q %w", o.namespace, errNoMaterial)
	}
	backup := &keybackup.Backup{CreatedAt: o.env.Now().UTC(), Server: connection.server}
	for i := range secrets {
		backup.Secrets = append(backup.Secrets, keybackup.FromSecret(&secrets[i]))
	}
	backup.RootKey, err = o.rootKey(ctx, secrets)
	return backup, err
}

func mustBeNew(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s %w", path, errFileExists)
	}
	return nil
}

// writeNew writes a file that must not be there, for its owner alone.
func writeNew(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s %w", path, errFileExists)
	}
	if err != nil {
		return fmt.Errorf("writing the file: %w; name one in a folder that you may write to", err)
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		// Half a file is worse than none: it would be taken for a whole one.
		return fmt.Errorf("writing %s: %w", path, errors.Join(err, os.Remove(path)))
	}
	return nil
}

// rootKey is the text of the root key, where it is to be in the backup: one that
// opens nothing would be found out on the day that it is needed.
func (o *KeysBackupOptions) rootKey(ctx context.Context, secrets []corev1.Secret) (string, error) {
	if o.rootKeyFile == "" {
		return "", nil
	}
	content, err := readNamed("--root-key-file", o.rootKeyFile)
	if err != nil {
		return "", err
	}
	defer clear(content)
	roots, err := keyring.ParseRootKeys(string(content))
	if err != nil {
		return "", errNoRootKeyFile
	}
	for i := range secrets {
		err := keyring.Verify(ctx, &secrets[i], roots)
		if errors.Is(err, keyring.ErrWrongRootKey) {
			return "", fmt.Errorf("secret %q is wrapped by root key %s, and %w", secrets[i].Name, secrets[i].Data[keyring.RootKeyField], errOtherRootKey)
		}
		if err != nil {
			return "", fmt.Errorf("trying the root key: %w", err)
		}
	}
	return strings.TrimSpace(string(content)), nil
}

func (o *KeysBackupOptions) tell(b *keybackup.Backup) error {
	text := fmt.Sprintf("%s holds %d Secrets with key material\n", o.file, len(b.Secrets))
	if b.RootKey != "" {
		text += "the root key is in it, and opens all of them\n"
	} else {
		text += fmt.Sprintf("to use it takes root key %s, which is not in it: keep that elsewhere\n", each(rootsOf(b)))
	}
	_, err := fmt.Fprint(o.env.Out, text)
	return err
}

// rootsOf are the ids of the root keys that wrap what is in a backup.
func rootsOf(b *keybackup.Backup) []string {
	ids := make([]string, 0, len(b.Secrets))
	for _, s := range b.Secrets {
		ids = append(ids, s.RootKeyID)
	}
	return ids
}

// materialIn lists the Secrets with key material.
func materialIn(ctx context.Context, from *connection, namespace string) ([]corev1.Secret, error) {
	list := &corev1.SecretList{}
	if err := from.List(ctx, list, client.InNamespace(namespace), client.HasLabels{keyring.MaterialLabel}); err != nil {
		return nil, fmt.Errorf("reading key material in namespace %q: %w", namespace, err)
	}
	return list.Items, nil
}
