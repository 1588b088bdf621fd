package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/keybackup"
	"usersecrets.dev/operator/internal/keyring"
)

// KeysRestoreOptions are those of 'kubectl usersecret keys restore'.
type KeysRestoreOptions struct {
	env     *Environment
	cluster *cluster

	file       string
	namespace  string
	identity   string
	passphrase passphraseSource
	rootKeyOut string
}

var (
	errRestoreFile = errors.New("FILE is missing: give the file that 'keys backup' wrote")
	errNoRootKey   = errors.New("the backup holds no root key: leave --root-key-out out, and take it from where you keep it")
	errTakenSecret = errors.New("is taken by another key, and the backup does not say which key id its own has: rename what is there")
	errSecretThere = errors.New("is there, and was no key material when it was looked for: try again, and if it stays so, look at it with kubectl")
)

func newKeysRestore(env *Environment, c *cluster) *cobra.Command {
	o := &KeysRestoreOptions{env: env, cluster: c}
	cmd := &cobra.Command{
		Use:   "restore FILE [--identity FILE | --passphrase-file FILE] [--root-key-out FILE]",
		Short: "Put key material back from a backup",
		Long: `Put key material back from a backup.

Nothing that is there is written over. Where the operator has made a key of the
same name meanwhile, both stay: the restored one is filed under its key id. The
operator must be given the root key that the backup was made with, besides its
own where that is another; then every UserSecret of that time opens again.

Only restore a file that you know where it was kept: whoever has a recipient's
age1… can make one.`,
		Example: `  # Into a new cluster, whose operator waits for its root key
  kubectl usersecret keys restore keys.age --root-key-out root.key
  kubectl -n usersecrets-system create secret generic root-key --from-file=key=root.key

  # Beside a key that the operator has made already, with an age key pair
  kubectl usersecret keys restore keys.age --identity age-key.txt`,
		DisableFlagsInUseLine: true,
		Args:                  oneFile(errRestoreFile),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = args[0]
			return o.Run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.identity, "identity", "i", "", "File with the age identity that opens the backup.")
	flags.StringVar(&o.rootKeyOut, "root-key-out", "", "Write the root key that the backup holds to this file.")
	flags.StringVar(&o.namespace, "operator-namespace", v1alpha1.OperatorNamespace, "The operator's namespace.")
	o.passphrase.bind(cmd)
	return cmd
}

// Run reads and restores. Repeated, it does what is left to do.
func (o *KeysRestoreOptions) Run(ctx context.Context) error {
	if o.identity != "" && o.passphrase.file != "" {
		return errWithWhat
	}
	if o.rootKeyOut != "" {
		if err := mustBeNew(o.rootKeyOut); err != nil {
			return err
		}
	}
	connection, err := o.cluster.connect()
	if err != nil {
		return err
	}
	there, err := materialIn(ctx, connection, o.namespace)
	if err != nil {
		return err
	}
	backup, err := o.read(ctx)
	if err != nil {
		return err
	}
	for _, saved := range backup.Secrets {
		if err := o.restore(ctx, connection, saved, there); err != nil {
			return err
		}
	}
	return o.conclude(backup, there)
}

func (o *KeysRestoreOptions) read(ctx context.Context) (*keybackup.Backup, error) {
	file, err := os.Open(o.file)
	if err != nil {
		return nil, fmt.Errorf("reading the backup: %w; name a file that you may read", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	ids, err := identities(ctx, o.env, o.identity, &o.passphrase)
	if err != nil {
		return nil, err
	}
	backup, err := keybackup.Read(file, ids...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.file, err)
	}
	if o.rootKeyOut != "" && backup.RootKey == "" {
		return nil, errNoRootKey
	}
	return backup, nil
}

func (o *KeysRestoreOptions) restore(ctx context.Context, to *connection, saved keybackup.Secret, there []corev1.Secret) error {
	if sameKeyIn(saved, there) {
		return o.say("secret/%s unchanged: the key is there", saved.Name)
	}
	secret := saved.Secret(o.namespace)
	taken := slices.ContainsFunc(there, func(s corev1.Secret) bool { return s.Name == secret.Name })
	if taken && saved.Kind != encryptionKeyKind {
		// It identifies values and opens none: with another, all count as changed once.
		return o.say("secret/%s left as it is: the operator has made one of its own", saved.Name)
	}
	if taken {
		if err := underKeyID(secret); err != nil {
			return err
		}
	}
	err := to.Create(ctx, secret, client.FieldOwner(FieldManager))
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("namespace %q is not there: install the operator first, with 'kubectl apply --server-side -k config/default'", o.namespace)
	case apierrors.IsAlreadyExists(err):
		return fmt.Errorf("secret %q %w", secret.Name, errSecretThere)
	case err != nil:
		return fmt.Errorf("restoring Secret %q: %w", secret.Name, err)
	}
	if err := o.say("secret/%s restored", secret.Name); err != nil {
		return err
	}
	return o.announce(ctx, to, secret)
}

// encryptionKeyKind is the kind of material that opens values.
const encryptionKeyKind = "encryption-key"

// sameKeyIn says whether the cluster has the key already: by its id, since the
// same key may be wrapped anew.
func sameKeyIn(saved keybackup.Secret, there []corev1.Secret) bool {
	id := saved.Annotations[keyring.KeyIDAnnotation]
	return slices.ContainsFunc(there, func(s corev1.Secret) bool {
		if id != "" {
			return s.Annotations[keyring.KeyIDAnnotation] == id
		}
		return s.Name == saved.Name && slices.Equal(s.Data[keyring.WrappedField], saved.Wrapped)
	})
}

// underKeyID files a key whose place is taken under its key id.
func underKeyID(secret *corev1.Secret) error {
	id := secret.Annotations[keyring.KeyIDAnnotation]
	if id == "" {
		return fmt.Errorf("secret %q %w", secret.Name, errTakenSecret)
	}
	if secret.Annotations[keyring.NameAnnotation] == "" {
		secret.Annotations[keyring.NameAnnotation] = strings.TrimPrefix(secret.Name, keyring.SecretPrefix)
	}
	secret.Name = keyring.SecretPrefix + id
	return nil
}

// announce makes the EncryptionKey, from which a running operator learns of the
// key at once. Where the kind is not known yet, the operator makes it later.
func (o *KeysRestoreOptions) announce(ctx context.Context, to *connection, secret *corev1.Secret) error {
	name, ok := strings.CutPrefix(secret.Name, keyring.SecretPrefix)
	if !ok {
		return nil
	}
	key := &v1alpha1.EncryptionKey{ObjectMeta: metav1.ObjectMeta{Name: name}}
	err := to.Create(ctx, key, client.FieldOwner(FieldManager))
	switch {
	case err == nil:
		return o.say("encryptionkey.usersecrets.dev/%s created", name)
	case apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err):
		return nil
	default:
		return fmt.Errorf("creating EncryptionKey %q: %w", name, err)
	}
}

// conclude writes the root key out, and says which root keys the operator needs.
func (o *KeysRestoreOptions) conclude(b *keybackup.Backup, there []corev1.Secret) error {
	if o.rootKeyOut != "" {
		if err := writeNew(o.rootKeyOut, []byte(b.RootKey+"\n")); err != nil {
			return err
		}
		if err := o.say("the root key was written to %s", o.rootKeyOut); err != nil {
			return err
		}
	}
	needed := rootsOf(b)
	for i := range there {
		id := string(there[i].Data[keyring.RootKeyField])
		needed = slices.DeleteFunc(needed, func(n string) bool { return n == id })
	}
	switch {
	case len(needed) == 0:
		return nil
	case len(there) == 0:
		return o.say("the operator must be given root key %s, which wraps this material", each(needed))
	default:
		return o.say("the operator must be given root key %s after its own: on a further line of its root key, or as a further --root-key; then restart it", each(needed))
	}
}

func (o *KeysRestoreOptions) say(format string, args ...any) error {
	_, err := fmt.Fprintln(o.env.Out, oneLine(fmt.Sprintf(format, args...)))
	return err
}
