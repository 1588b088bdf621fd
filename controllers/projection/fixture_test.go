package projection

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/audit"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/inject"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/owner"
	"usersecrets.dev/operator/internal/secretvalue"
)

const namespace = "alice-flows"

// vault seals and opens for all tests. It is made outside of their bubbles,
// since it keeps a goroutine of its own.
var vault *keyring.Keyring

func TestMain(m *testing.M) {
	vault = makeVault(1)
	os.Exit(m.Run())
}

// makeVault is a vault of its own; another first is another root key.
func makeVault(first byte) *keyring.Keyring {
	key := make([]byte, keyring.KeySize)
	for i := range key {
		key[i] = first + byte(i)
	}
	root, err := keyring.ParseRootKey(hex.EncodeToString(key))
	if err != nil {
		panic(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	k := keyring.New(keyring.Config{
		Client: fake.NewClientBuilder().WithScheme(scheme).Build(), Namespace: v1alpha1.OperatorNamespace, Roots: []keyring.Root{root},
	})
	if err := k.Bootstrap(context.Background()); err != nil {
		panic(err)
	}
	return k
}

func inNamespace(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}

func sealed(name, value string) string { return sealedFor("alice", name, value) }

func sealedFor(owner, name, value string) string { return sealedIn(namespace, owner, name, value) }

func sealedIn(namespace, owner, name, value string) string {
	text, err := vault.Seal(envelope.Binding{Owner: owner, Namespace: namespace, Name: name}, secretvalue.FromString(value))
	if err != nil {
		panic(err)
	}
	return text
}

func metaOf(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-" + name)}
}

// makeValue is a UserSecret whose UID is "uid-" and its name.
func makeValue(name, value string) *v1alpha1.UserSecret {
	return &v1alpha1.UserSecret{
		ObjectMeta: metaOf(name),
		Spec:       v1alpha1.UserSecretSpec{Provider: "custom", Type: v1alpha1.TypeCustom, EncryptedValue: sealed(name, value)},
	}
}

func makeProvider(name, key string) *v1alpha1.SecretProvider {
	return &v1alpha1.SecretProvider{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.SecretProviderSpec{Types: []v1alpha1.ProviderType{{Type: v1alpha1.TypeAPIKey, Key: key}}},
	}
}

// makePod is an injected pod whose UID is "uid-" and its name, and whose
// projection is "usersecret-" and its name.
func makePod(name, inject string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: types.UID("uid-" + name),
			Labels: map[string]string{v1alpha1.InjectedLabel: "true"},
			Annotations: map[string]string{
				v1alpha1.InjectAnnotation:      inject,
				v1alpha1.ProjectionAnnotation:  v1alpha1.ProjectionNamePrefix + name,
				v1alpha1.RequestedByAnnotation: "alice",
				v1alpha1.WorkflowAnnotation:    "nightly",
				v1alpha1.NodeAnnotation:        "step-" + name,
			},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main"}}},
	}
}

// use is the record of a pod's use, as the controller makes it.
func use(pod string) v1alpha1.Access {
	return v1alpha1.Access{
		Time: metav1.NewMicroTime(time.Now()), Type: v1alpha1.AccessUse, Actor: "alice",
		Workflow: "nightly", Node: "step-" + pod, Pod: pod, PodUID: "uid-" + pod,
	}
}

// leader is a process of the operator that leads.
type leader struct {
	*Reconciler
	process *process
	events  *told
	audit   *told
}

// lead starts a process, without reconciling anything.
func (c *cluster) lead() *leader {
	p := &process{cluster: c}
	l := &leader{process: p, events: &told{}, audit: &told{}}
	l.Reconciler = New(Config{
		Cache: p, Client: p, Look: p.look, Keys: vault, Owners: &owner.Resolver{Live: p, Annotation: v1alpha1.OwnerAnnotation},
		Events: l.events, Audit: l.audit, Clock: clock.RealClock{},
		Limits: inject.Limits{MaxTTL: 24 * time.Hour}, Guard: func() error { return nil },
	})
	return l
}

func (l *leader) reconcile(pod string) (ctrl.Result, error) {
	return l.Reconcile(context.Background(), reconcile.Request{NamespacedName: inNamespace(pod)})
}

// must reconciles and returns when to look again.
func (l *leader) must(t *testing.T, pod string) time.Duration {
	t.Helper()
	result, err := l.reconcile(pod)
	if err != nil {
		t.Fatalf("reconciling %s: %v", pod, err)
	}
	return result.RequeueAfter
}

// told keeps Events and audit records as lines of text.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (r *told) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

// take are the lines since the last time.
func (r *told) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

// Eventf implements events.EventRecorder.
func (r *told) Eventf(regarding, _ runtime.Object, eventtype, reason, _, note string, args ...any) {
	r.say("%s %s %s: %s", regarding.(client.Object).GetName(), eventtype, reason, fmt.Sprintf(note, args...))
}

// Write implements audit.Sink.
func (r *told) Write(record audit.Record) {
	r.say("%s %s %s by %s: %s", record.ID, record.Type, record.Name, record.Pod, record.Reason)
}

// after is where the time in a bubble has gone on by so much.
func after(d time.Duration) { <-time.After(d) }

// values are the data of a projection as text.
func values(secret *corev1.Secret) map[string]string {
	if secret == nil {
		return nil
	}
	texts := map[string]string{}
	for key, value := range secret.Data {
		texts[key] = string(value)
	}
	return texts
}

// usedBy are the pods in a UserSecret's recentAccesses, newest first.
func usedBy(us *v1alpha1.UserSecret) string {
	var pods []string
	for _, access := range us.Status.RecentAccesses {
		pods = append(pods, access.Pod)
	}
	return strings.Join(pods, " ")
}

// checkPromises fails the test where the controller broke one.
func checkPromises(t *testing.T, c *cluster) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, complaint := range c.complaints {
		t.Error(complaint)
	}
}
