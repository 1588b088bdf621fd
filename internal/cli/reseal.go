package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"usersecrets.dev/operator/api/v1alpha1"
)

// ResealOptions are those of 'kubectl usersecret reseal'.
type ResealOptions struct {
	env     *Environment
	cluster *cluster

	files   []string
	timeout time.Duration
}

var (
	errNoFiles    = errors.New("give the manifests with -f FILE; - is standard input")
	errNoSecrets  = errors.New("holds no UserSecret with spec.encryptedValue: name the manifest that has it")
	errNotApplied = errors.New("is not in the cluster: apply the manifest first")
	errOtherValue = errors.New("the cluster holds another sealed value than the file: apply the file first, or take the newer value from the cluster")
	errNoOffer    = errors.New("the operator offers no newer sealed value: see 'kubectl usersecret list -o wide' for the reason")
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
Nothing is opened on this machine.

Of a folder, the files that end in .yaml, .yml and .json are taken. With - as the
file, what comes in on standard input goes out again.`,
		Example: `  # Bring the manifests of a repository up to date
  kubectl usersecret reseal -f secrets/
  git commit -am "Seal with the newest key"`,
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		RunE:                  func(cmd *cobra.Command, _ []string) error { return o.Run(cmd.Context()) },
	}
	cmd.Flags().StringArrayVarP(&o.files, "filename", "f", nil, "File or folder with UserSecrets; may be given more than once.")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 30*time.Second, "How long to wait for the operator's offer.")
	return cmd
}

// Run reseals every file, and tells of each UserSecret.
func (o *ResealOptions) Run(ctx context.Context) error {
	if len(o.files) == 0 {
		return errNoFiles
	}
	connection, err := o.cluster.connect()
	if err != nil {
		return err
	}
	namespace, err := o.cluster.namespace()
	if err != nil {
		return err
	}
	paths, err := manifestPaths(o.files)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := o.file(ctx, connection, namespace, path); err != nil {
			return err
		}
	}
	return nil
}

// manifestPaths are the files, and those in the folders.
func manifestPaths(named []string) ([]string, error) {
	var paths []string
	for _, path := range named {
		info, err := os.Stat(path)
		if path == stdin || err == nil && !info.IsDir() {
			paths = append(paths, path)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading a manifest: %w; name a file that you may read", err)
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, fmt.Errorf("reading a folder: %w", err)
		}
		for _, entry := range entries {
			if slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(entry.Name())) && !entry.IsDir() {
				paths = append(paths, filepath.Join(path, entry.Name()))
			}
		}
	}
	return paths, nil
}

func (o *ResealOptions) file(ctx context.Context, from *connection, namespace, path string) error {
	content, err := o.read(path)
	if err != nil {
		return fmt.Errorf("reading a manifest: %w; name a file that you may read", err)
	}
	sealed, err := sealedIn(content, namespace)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if len(sealed) == 0 {
		if slices.Contains(o.files, path) {
			return fmt.Errorf("%s %w", path, errNoSecrets)
		}
		return nil // a folder may have other manifests
	}
	after := content
	for _, s := range sealed {
		newer, err := o.offer(ctx, from, s)
		if err != nil {
			return fmt.Errorf("%s: UserSecret %s: %w", path, s.NamespacedName, err)
		}
		if newer != s.value && !bytes.Contains(after, []byte(s.value)) {
			return fmt.Errorf("%s: UserSecret %s: %w", path, s.NamespacedName, errNotInText)
		}
		// A sealed value is random and long, so it stands nowhere else.
		after = bytes.ReplaceAll(after, []byte(s.value), []byte(newer))
		if err := o.tell(path, s, newer); err != nil {
			return err
		}
	}
	return o.write(path, content, after)
}

// tell speaks on standard error where standard output is the manifest.
func (o *ResealOptions) tell(path string, s sealedObject, newer string) error {
	what, out := "resealed", o.env.Out
	if newer == s.value {
		what = "unchanged"
	}
	if path == stdin {
		out = o.env.ErrOut
	}
	_, err := fmt.Fprintf(out, "usersecret.usersecrets.dev/%s %s\n", s.Name, what)
	return err
}

func (o *ResealOptions) read(path string) ([]byte, error) {
	if path == stdin {
		return io.ReadAll(o.env.In)
	}
	return os.ReadFile(path)
}

// write replaces the file as a whole, so that it is never half written.
func (o *ResealOptions) write(path string, before, after []byte) error {
	if path == stdin {
		_, err := o.env.Out.Write(after)
		return err
	}
	if bytes.Equal(before, after) {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".reseal-*")
	if err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // gone already where all went well
	_, err = temporary.Write(after)
	if err := errors.Join(err, temporary.Chmod(info.Mode().Perm()), temporary.Close()); err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	return nil
}

// sealedObject is a UserSecret in a manifest.
type sealedObject struct {
	types.NamespacedName
	value string
}

// sealedIn finds the UserSecrets of a manifest: of all its documents, and of the
// Lists in them.
func sealedIn(content []byte, namespace string) ([]sealedObject, error) {
	var found []sealedObject
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		document := &unstructured.Unstructured{}
		err := decoder.Decode(&document.Object)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, errors.New("it is neither YAML nor JSON")
		}
		if items, ok := document.Object["items"].([]any); ok {
			for _, item := range items {
				if object, ok := item.(map[string]any); ok {
					found = appendSealed(found, &unstructured.Unstructured{Object: object}, namespace)
				}
			}
			continue
		}
		found = appendSealed(found, document, namespace)
	}
}

func appendSealed(found []sealedObject, object *unstructured.Unstructured, namespace string) []sealedObject {
	kind := object.GroupVersionKind()
	value, _, err := unstructured.NestedString(object.Object, "spec", "encryptedValue")
	if err != nil || kind.Group != v1alpha1.GroupVersion.Group || kind.Kind != "UserSecret" || value == "" {
		return found
	}
	if object.GetNamespace() != "" {
		namespace = object.GetNamespace()
	}
	return append(found, sealedObject{NamespacedName: types.NamespacedName{Namespace: namespace, Name: object.GetName()}, value: value})
}

// offer returns what is to stand in the file: the same text where it is sealed
// with the active key. The operator may need a moment to offer another.
func (o *ResealOptions) offer(ctx context.Context, from *connection, s sealedObject) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	for {
		us := &v1alpha1.UserSecret{}
		err := from.Get(ctx, s.NamespacedName, us)
		switch {
		case apierrors.IsNotFound(err) && !noSuchResource(err):
			return "", errNotApplied
		case err != nil:
			return "", fmt.Errorf("reading it: %w", err)
		case us.Spec.EncryptedValue != s.value && us.Spec.EncryptedValue != us.Status.ResealedValue:
			return "", errOtherValue
		case us.Status.ObservedGeneration == us.Generation && us.Status.ResealedValue != "":
			return us.Status.ResealedValue, nil
		case us.Status.ObservedGeneration == us.Generation && !staleKey(ctx, from, us):
			return s.value, nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return "", errNoOffer
			}
			return "", errInterrupted
		case <-time.After(poll):
		}
	}
}

// staleKey says whether a key has taken over from the one that seals the value.
// Who may not see EncryptionKeys goes by the namespace's SealingKey.
func staleKey(ctx context.Context, from *connection, us *v1alpha1.UserSecret) bool {
	key := &v1alpha1.SealingKey{}
	if err := from.Get(ctx, types.NamespacedName{Namespace: us.Namespace, Name: v1alpha1.SealingKeyName}, key); err != nil {
		return false
	}
	return key.Spec.KeyID != us.Status.KeyID
}
