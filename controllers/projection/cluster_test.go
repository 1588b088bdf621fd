package projection

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// cluster is an API server in memory with what the controller asks one for:
// resource versions, UIDs, merge patches (RFC 7386) and dry runs as the real one
// has them. It knows every pod that ever was counted, and every complaint is a
// promise of the controller that did not hold.
type cluster struct {
	mu      sync.Mutex
	version int
	pods    map[types.NamespacedName]*corev1.Pod
	secrets map[types.NamespacedName]*corev1.Secret
	values  map[types.NamespacedName]*v1alpha1.UserSecret
	catalog map[types.NamespacedName]*v1alpha1.SecretProvider
	owners  map[string]string // by namespace

	recorded   map[types.UID]map[types.UID]bool // by UserSecret, then by pod
	granted    map[types.UID]map[types.UID]bool
	groups     []int // how many uses each write recorded
	complaints []string
	writes     []request
}

func newCluster() *cluster {
	return &cluster{
		pods: map[types.NamespacedName]*corev1.Pod{}, secrets: map[types.NamespacedName]*corev1.Secret{},
		values: map[types.NamespacedName]*v1alpha1.UserSecret{}, catalog: map[types.NamespacedName]*v1alpha1.SecretProvider{},
		owners:   map[string]string{namespace: "alice"},
		recorded: map[types.UID]map[types.UID]bool{}, granted: map[types.UID]map[types.UID]bool{},
	}
}

func notFound(kind, name string) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: kind}, name)
}

func conflict(kind, name string) error {
	return apierrors.NewConflict(schema.GroupResource{Resource: kind}, name, errors.New("the object has been modified"))
}

func (c *cluster) next() string {
	c.version++
	return strconv.Itoa(c.version)
}

func (c *cluster) complain(format string, args ...any) {
	c.complaints = append(c.complaints, fmt.Sprintf(format, args...))
}

// do changes the cluster as somebody else would.
func (c *cluster) do(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func (c *cluster) addPod(pod *corev1.Pod) {
	c.do(func() { c.pods[client.ObjectKeyFromObject(pod)] = pod })
}

func (c *cluster) addValue(us *v1alpha1.UserSecret) {
	c.do(func() {
		us.ResourceVersion = c.next()
		c.values[client.ObjectKeyFromObject(us)] = us
	})
}

// changeValue writes as the owner would.
func (c *cluster) changeValue(name string, change func(*v1alpha1.UserSecret)) {
	c.do(func() {
		us := c.values[inNamespace(name)]
		before := us.Spec.DeepCopy()
		change(us)
		us.ResourceVersion = c.next()
		if !reflect.DeepEqual(before, &us.Spec) {
			us.Generation++
		}
	})
}

func (c *cluster) removeValue(name string) { c.do(func() { delete(c.values, inNamespace(name)) }) }

func (c *cluster) value(name string) *v1alpha1.UserSecret {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.values[inNamespace(name)].DeepCopy()
}

// secret is the projection of that name, or nil.
func (c *cluster) secret(name string) *corev1.Secret {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.secrets[inNamespace(name)].DeepCopy()
}

// written are the calls since the last time that could have changed something.
func (c *cluster) written() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, w := range c.writes {
		all = append(all, w.String())
	}
	c.writes = nil
	return all
}

func (c *cluster) get(name types.NamespacedName, object client.Object) error {
	switch into := object.(type) {
	case *corev1.Pod:
		pod, err := read(c.pods, name, "pods")
		if err == nil {
			pod.DeepCopyInto(into)
		}
		return err
	case *v1alpha1.UserSecret:
		us, err := read(c.values, name, "usersecrets")
		if err == nil {
			us.DeepCopyInto(into)
		}
		return err
	case *v1alpha1.SecretProvider:
		provider, err := read(c.catalog, name, "secretproviders")
		if err == nil {
			provider.DeepCopyInto(into)
		}
		return err
	case *metav1.PartialObjectMetadata:
		return c.getMetadata(name, into)
	default:
		return fmt.Errorf("nobody may get a %T", object)
	}
}

func read[T any](from map[types.NamespacedName]*T, name types.NamespacedName, kind string) (*T, error) {
	found, ok := from[name]
	if !ok {
		return nil, notFound(kind, name.Name)
	}
	return found, nil
}

func (c *cluster) getMetadata(name types.NamespacedName, into *metav1.PartialObjectMetadata) error {
	if into.Kind == "Pod" {
		pod, err := read(c.pods, name, "pods")
		if err == nil {
			pod.ObjectMeta.DeepCopyInto(&into.ObjectMeta)
		}
		return err
	}
	into.Name = name.Name
	into.Annotations = map[string]string{v1alpha1.OwnerAnnotation: c.owners[name.Name]}
	return nil
}

func (c *cluster) list(list client.ObjectList, in string) error {
	switch into := list.(type) {
	case *v1alpha1.UserSecretList:
		for _, us := range sorted(c.values) {
			if us.Namespace == in {
				into.Items = append(into.Items, *us.DeepCopy())
			}
		}
	case *corev1.PodList:
		for _, pod := range sorted(c.pods) {
			into.Items = append(into.Items, *pod.DeepCopy())
		}
	case *metav1.PartialObjectMetadataList:
		for _, pod := range sorted(c.pods) {
			into.Items = append(into.Items, metav1.PartialObjectMetadata{ObjectMeta: *pod.ObjectMeta.DeepCopy()})
		}
	default:
		return fmt.Errorf("nobody may list a %T", list)
	}
	return nil
}

func sorted[T any](from map[types.NamespacedName]*T) []*T {
	var all []*T
	for _, name := range slices.SortedFunc(maps.Keys(from), func(a, b types.NamespacedName) int {
		return strings.Compare(a.String(), b.String())
	}) {
		all = append(all, from[name])
	}
	return all
}

func (c *cluster) create(secret *corev1.Secret) error {
	name := client.ObjectKeyFromObject(secret)
	if _, there := c.secrets[name]; there {
		return apierrors.NewAlreadyExists(schema.GroupResource{Resource: "secrets"}, name.Name)
	}
	secret.ResourceVersion = c.next()
	secret.UID = types.UID("secret-" + secret.ResourceVersion)
	secret.CreationTimestamp = metav1.Time{Time: time.Now().Truncate(time.Second)}
	c.secrets[name] = secret.DeepCopy()
	c.checkServed(secret)
	return nil
}

// tryCreate is a dry run of a creation.
func (c *cluster) tryCreate(secret *corev1.Secret) error {
	if len(secret.Data) > 0 {
		c.complain("Secret %s was tried with its values", secret.Name)
	}
	if name := client.ObjectKeyFromObject(secret); c.secrets[name] != nil {
		return apierrors.NewAlreadyExists(schema.GroupResource{Resource: "secrets"}, name.Name)
	}
	return nil
}

func (c *cluster) delete(secret *corev1.Secret, uid types.UID) error {
	name := client.ObjectKeyFromObject(secret)
	there, ok := c.secrets[name]
	if !ok {
		return notFound("secrets", name.Name)
	}
	if there.UID != uid {
		return conflict("secrets", name.Name)
	}
	delete(c.secrets, name)
	return nil
}

// update compares resource versions and UIDs, as the real API server does.
func (c *cluster) update(secret *corev1.Secret) error {
	name := client.ObjectKeyFromObject(secret)
	there, ok := c.secrets[name]
	if !ok {
		return notFound("secrets", name.Name)
	}
	if secret.UID != there.UID || secret.ResourceVersion != there.ResourceVersion {
		return conflict("secrets", name.Name)
	}
	secret.ResourceVersion = c.next()
	c.secrets[name] = secret.DeepCopy()
	c.checkServed(secret)
	return nil
}

// record is a merge patch of a UserSecret's status. As in the real API server,
// the resource version is compared and the UID is not.
func (c *cluster) record(object *metav1.PartialObjectMetadata, patch []byte) error {
	name := client.ObjectKeyFromObject(object)
	there, ok := c.values[name]
	if !ok {
		return notFound("usersecrets", name.Name)
	}
	after := &v1alpha1.UserSecret{}
	if err := merge(there, patch, after); err != nil {
		return err
	}
	if after.ResourceVersion != there.ResourceVersion {
		return conflict("usersecrets", name.Name)
	}
	c.checkRecord(there, after)
	there.Status, there.ResourceVersion = after.Status, c.next()
	object.ObjectMeta = *there.ObjectMeta.DeepCopy()
	return nil
}
