package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/cli/knownkeys"
	"usersecrets.dev/operator/internal/envelope"
)

var (
	errNoSealingKey    = errors.New("there is no sealing key")
	errNotSealingKey   = errors.New("the file that --sealing-key names holds no SealingKey: save one with 'kubectl get sealingkey sealing-key -n NAMESPACE -o yaml'")
	errOtherNamespace  = errors.New("the sealing key is another namespace's")
	errBadSealingKey   = errors.New("the sealing key is not to be trusted")
	errSealingKeyAsked = errors.New("ask the administrator of the UserSecret operator, and seal nothing until then")
)

// keySource says where the public key comes from, and what is known of it.
type keySource struct {
	file      string
	known     string
	acceptNew bool
}

// sealingKey is a public key that was checked.
type sealingKey struct {
	namespace string
	owner     string
	public    *envelope.PublicKey
}

func (s *keySource) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&s.file, "sealing-key", "", "Seal without a cluster, with the SealingKey in this file: YAML or JSON, as kubectl get prints it.")
	flags.StringVar(&s.known, "known-keys", "", "File that remembers sealing keys. (default $XDG_CONFIG_HOME/usersecrets/known_keys, or ~/.config/usersecrets/known_keys)")
	flags.BoolVar(&s.acceptNew, "accept-new-key", false, "Trust a sealing key or an owner that is not the remembered one. Compare the fingerprint with your administrator's first.")
}

// offline says whether the key comes from a file.
func (s *keySource) offline() bool { return s.file != "" }

// fetch returns the sealing key of a namespace from the cluster, checked, and
// remembered or as remembered.
func (s *keySource) fetch(ctx context.Context, env *Environment, from *connection, namespace string) (*sealingKey, error) {
	object := &v1alpha1.SealingKey{}
	err := from.Get(ctx, types.NamespacedName{Namespace: namespace, Name: v1alpha1.SealingKeyName}, object)
	if apierrors.IsNotFound(err) && !noSuchResource(err) {
		return nil, fmt.Errorf("%w in namespace %q: an administrator gives you the namespace with 'kubectl usersecret onboard', and the operator publishes the key there; or name your own with --namespace", errNoSealingKey, namespace)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the sealing key of namespace %q: %w", namespace, err)
	}
	return s.check(env, object, namespace, from.server)
}

// load returns the sealing key in the file. An empty namespace stands for the one
// that the key is for.
func (s *keySource) load(env *Environment, namespace string) (*sealingKey, error) {
	content, err := os.ReadFile(s.file)
	if err != nil {
		return nil, unnamed("--sealing-key", err)
	}
	object := &v1alpha1.SealingKey{}
	if err := yaml.Unmarshal(content, object); err != nil {
		// The parser's message repeats parts of the file, which may be any file.
		return nil, errNotSealingKey
	}
	group, err := schema.ParseGroupVersion(object.APIVersion)
	if err != nil || group.Group != v1alpha1.GroupVersion.Group || object.Kind != "SealingKey" {
		return nil, errNotSealingKey
	}
	if namespace == "" {
		namespace = object.Namespace
	}
	path, err := filepath.Abs(s.file)
	if err != nil {
		return nil, fmt.Errorf("finding the sealing key: %w", err)
	}
	file := url.URL{Scheme: "file", Path: filepath.ToSlash(path)}
	return s.check(env, object, namespace, file.String())
}

func (s *keySource) check(env *Environment, object *v1alpha1.SealingKey, namespace, source string) (*sealingKey, error) {
	key, err := checkSealingKey(object, namespace)
	if err != nil {
		return nil, err
	}
	return key, s.recognise(env, key, source)
}

// checkSealingKey holds a SealingKey against itself and the place to seal for.
func checkSealingKey(object *v1alpha1.SealingKey, namespace string) (*sealingKey, error) {
	if len(validation.IsDNS1123Label(namespace)) > 0 {
		return nil, fmt.Errorf("%w: it names no valid namespace; save it again with 'kubectl get sealingkey'", errBadSealingKey)
	}
	if object.Namespace != namespace {
		return nil, fmt.Errorf("%w: it is for %q, and the value for %q; what is sealed with it would not open: give the key of that namespace, or --namespace %s", errOtherNamespace, object.Namespace, namespace, object.Namespace)
	}
	if object.Spec.Owner == "" {
		return nil, fmt.Errorf("%w: it names no owner; %w", errBadSealingKey, errSealingKeyAsked)
	}
	public, err := envelope.NewPublicKey(envelope.KeyID(object.Spec.KeyID), object.Spec.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w; %w", errBadSealingKey, err, errSealingKeyAsked)
	}
	if public.Fingerprint() != object.Spec.Fingerprint {
		return nil, fmt.Errorf("%w: its fingerprint is %s, and it says that it were %s; %w", errBadSealingKey, public.Fingerprint(), object.Spec.Fingerprint, errSealingKeyAsked)
	}
	return &sealingKey{namespace: namespace, owner: object.Spec.Owner, public: public}, nil
}

// recognise compares the key with the remembered ones, and remembers it.
func (s *keySource) recognise(env *Environment, key *sealingKey, source string) error {
	path, err := s.knownPath(env)
	if err != nil {
		return err
	}
	file, err := knownkeys.Open(path)
	if err != nil {
		return withRemedy(err)
	}
	seen := knownkeys.Key{
		Source: source, Namespace: key.namespace, Owner: key.owner,
		KeyID: string(key.public.KeyID()), Fingerprint: key.public.Fingerprint(),
	}
	verdict, err := knownkeys.Compare(file.Keys(), seen)
	if err == nil && verdict == knownkeys.Known {
		return nil
	}
	if err != nil && !s.acceptNew {
		return fmt.Errorf("%w (remembered in %s); somebody may be after your values: have your administrator confirm fingerprint %s and owner %q, and only then add --accept-new-key", err, path, seen.Fingerprint, seen.Owner)
	}
	return remember(env, file, seen, verdict, err != nil)
}

func remember(env *Environment, file *knownkeys.File, seen knownkeys.Key, verdict knownkeys.Verdict, changed bool) error {
	write, what := file.Add, "is seen for the first time"
	switch {
	case changed:
		write, what = file.Replace, "is accepted in place of the one remembered"
	case verdict == knownkeys.Rotated:
		what = "is new, after a rotation"
	}
	if err := write(seen); err != nil {
		return withRemedy(err)
	}
	_, err := fmt.Fprintf(env.ErrOut, "notice: sealing key %s of namespace %s, owner %s, fingerprint %s, %s; remembered in %s\n",
		seen.KeyID, seen.Namespace, oneLine(seen.Owner), seen.Fingerprint, what, file.Path())
	return err
}

// knownPath is where keys are remembered (XDG Base Directory Specification).
func (s *keySource) knownPath(env *Environment) (string, error) {
	if s.known != "" {
		return s.known, nil
	}
	// The specification has relative paths ignored.
	if folder, _ := env.LookupEnv("XDG_CONFIG_HOME"); filepath.IsAbs(folder) {
		return filepath.Join(folder, "usersecrets", "known_keys"), nil
	}
	home, set := env.LookupEnv("HOME")
	if !set || home == "" {
		var err error
		if home, err = os.UserHomeDir(); err != nil {
			return "", errors.New("sealing keys cannot be remembered, for there is no home directory: give --known-keys FILE")
		}
	}
	return filepath.Join(home, ".config", "usersecrets", "known_keys"), nil
}

// withRemedy adds what to do where the file system refused.
func withRemedy(err error) error {
	var refused *fs.PathError
	if errors.As(err, &refused) {
		return fmt.Errorf("%w; give --known-keys FILE with a file that you may write", err)
	}
	return err
}
