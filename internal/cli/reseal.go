package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
)

// ResealOptions are those of 'kubectl usersecret reseal'.
type ResealOptions struct {
	env     *Environment
	cluster *cluster

	files   []string
	timeout time.Duration
}

var (
	errNoFiles    = errors.New("--filename is missing: give the manifests with -f FILE; - is standard input")
	errNoSecrets  = errors.New("there is no UserSecret with spec.encryptedValue: name the manifests that have it")
	errNotApplied = errors.New("it is not in the cluster: apply the manifest first, or name its namespace with --namespace")
	errOtherValue = errors.New("the cluster holds another sealed value than the file: apply the file first, or take the newer value from the cluster")
	errNoOffer    = errors.New("the operator has offered no value sealed with the newest key yet: try again later, or see 'kubectl describe usersecret' for the reason")
	errNotInText  = errors.New("its sealed value does not stand in the file in one piece: write it on one line")
)

func newReseal(env *Environment, c *cluster) *cobra.Command {
	o := &ResealOptions{env: env, cluster: c}
	cmd := &cobra.Command{
		Use:   "reseal -f FILE",
		Short: "Write values sealed with the newest key into manifests",
		Long: `Write values sealed with the newest key into manifests.

After a rotation the operator seals stored values again by itself, but for those
that somebody keeps in a manifest: there it offers the value, sealed anew, in the
object's status. This writes it into the file, and changes nothing else there.
Nothing is opened on this machine, and nothing is written to the cluster.

Of a folder, the files that end in .yaml, .yml and .json are taken. With - as the
file, what comes in on standard input goes out again.`,
		Example: `  # Bring the manifests of a repository up to date
  kubectl usersecret reseal -f secrets/
  git commit -am "Seal with the newest key"

  # Between two other programs
  kubectl usersecret reseal -f - < openai.yaml | kubectl apply -f -`,
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.files) == 0 {
				return errNoFiles
			}
			return o.Run(cmd.Context())
		},
	}
	cmd.Flags().StringArrayVarP(&o.files, "filename", "f", nil, "File or folder with UserSecrets; may be given more than once.")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 30*time.Second, "How long to wait for the operator's offers.")
	return cmd
}

// Run reseals every file. One that cannot be resealed is left as it is, and the
// others are resealed all the same.
func (o *ResealOptions) Run(ctx context.Context) error {
	connection, err := o.cluster.connect()
	if err != nil {
		return err
	}
	namespace, err := o.cluster.namespace()
	if err != nil {
		return err
	}
	found, err := manifestsIn(o.env, o.files, namespace)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errNoSecrets
	}
	waiting, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	var failed []error
	for _, m := range found {
		err := o.reseal(ctx, waiting, connection, m)
		if interrupted(err) {
			return err
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return o.sum(failed, len(found))
}

// sum tells of each failure on a line of its own.
func (o *ResealOptions) sum(failed []error, files int) error {
	if len(failed) <= 1 {
		return errors.Join(failed...)
	}
	for _, err := range failed {
		if _, err := fmt.Fprintln(o.env.ErrOut, "error: "+explain(err)); err != nil {
			return err
		}
	}
	return fmt.Errorf("%d of %d files were left as they are, for the reasons above", len(failed), files)
}

// reseal brings one file up to date, and tells of each UserSecret in it.
func (o *ResealOptions) reseal(ctx, waiting context.Context, from client.Reader, m *sealedManifest) error {
	after := m.content
	told := ""
	for _, s := range m.sealed {
		newer, err := o.offer(ctx, waiting, from, s)
		if err == nil && newer != s.value && !bytes.Contains(after, []byte(s.value)) {
			err = errNotInText
		}
		if err != nil {
			return fmt.Errorf("%s: UserSecret %s: %w", m.path, s.NamespacedName, err)
		}
		what := "resealed"
		if newer == s.value {
			what = "unchanged"
		}
		told += fmt.Sprintf("usersecret.usersecrets.dev/%s %s\n", s.Name, what)
		// A sealed value is random and long, so it stands nowhere else.
		after = bytes.ReplaceAll(after, []byte(s.value), []byte(newer))
	}
	if err := m.write(o.env, after); err != nil {
		return err
	}
	out := o.env.Out
	if m.path == stdin {
		out = o.env.ErrOut // standard output is the manifest
	}
	_, err := fmt.Fprint(out, told)
	return err
}

// offer returns what is to stand in the file: the same text where it is sealed
// with the active key. The operator may need a moment to offer another.
func (o *ResealOptions) offer(ctx, waiting context.Context, from client.Reader, s sealedObject) (string, error) {
	if _, err := envelope.Parse(s.value); err != nil {
		return "", errNotInText
	}
	for {
		us := &v1alpha1.UserSecret{}
		err := from.Get(ctx, s.NamespacedName, us)
		switch {
		case apierrors.IsNotFound(err) && !noSuchResource(err):
			return "", errNotApplied
		case err != nil:
			return "", fmt.Errorf("reading it: %w", err)
		case us.Status.ResealedValue == s.value:
			return s.value, nil // written already, and not applied yet
		case us.Spec.EncryptedValue != s.value && us.Spec.EncryptedValue != us.Status.ResealedValue:
			return "", errOtherValue
		}
		if us.Status.ObservedGeneration == us.Generation {
			newer, err := newest(ctx, from, us, s.value)
			if err != nil || newer != "" {
				return newer, err
			}
		}
		if err := pause(waiting, errNoOffer); err != nil {
			return "", err
		}
	}
}

// newest is what the operator offers, or the present value where no key has taken
// over from the one that seals it; empty where an offer is to be waited for. Who
// may not see EncryptionKeys goes by the namespace's SealingKey.
func newest(ctx context.Context, from client.Reader, us *v1alpha1.UserSecret, present string) (string, error) {
	key := &v1alpha1.SealingKey{}
	err := from.Get(ctx, types.NamespacedName{Namespace: us.Namespace, Name: v1alpha1.SealingKeyName}, key)
	if client.IgnoreNotFound(err) != nil {
		return "", fmt.Errorf("reading the namespace's sealing key: %w", err)
	}
	switch {
	case us.Status.ResealedValue != "" && (err != nil || string(envelope.KeyIDOf(us.Status.ResealedValue)) == key.Spec.KeyID):
		return us.Status.ResealedValue, nil
	case err != nil, key.Spec.KeyID == string(envelope.KeyIDOf(present)):
		return present, nil
	default:
		return "", nil
	}
}
