package projection

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// request is one call of a client.
type request struct {
	verb   string // get, list, create, update, delete, record (a status patch), look, try (dry runs)
	object string // "Secret/usersecret-a"
}

func (r request) String() string { return r.verb + " " + r.object }

// apart are calls that change nothing.
var apart = []string{"get", "list", "look", "try"}

func named(kind string, name types.NamespacedName) string { return kind + "/" + name.Name }

// process is the client of one process of the operator. Whatever the controller
// is not meant to call is not there, and would end the test.
type process struct {
	client.Client
	cluster *cluster
	// fault, where set, is asked about every call: an error in before keeps it
	// from happening, one in after is the answer to a call that did happen.
	fault func(context.Context, request) (before, after error)
}

func (p *process) call(ctx context.Context, r request, happen func() error) error {
	var before, after error
	if p.fault != nil {
		before, after = p.fault(ctx, r)
	}
	if before != nil {
		return before
	}
	p.cluster.mu.Lock()
	defer p.cluster.mu.Unlock()
	if !slices.Contains(apart, r.verb) {
		p.cluster.writes = append(p.cluster.writes, r)
	}
	if err := happen(); err != nil {
		return err
	}
	return after
}

func kindOf(object any) string {
	if partial, ok := object.(*metav1.PartialObjectMetadata); ok {
		return partial.Kind
	}
	name := fmt.Sprintf("%T", object)
	return name[strings.LastIndex(name, ".")+1:]
}

func (p *process) Get(ctx context.Context, name client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	return p.call(ctx, request{"get", named(kindOf(object), name)}, func() error { return p.cluster.get(name, object) })
}

func (p *process) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	options := &client.ListOptions{}
	options.ApplyOptions(opts)
	return p.call(ctx, request{"list", kindOf(list)}, func() error { return p.cluster.list(list, options.Namespace) })
}

func (p *process) Create(ctx context.Context, object client.Object, opts ...client.CreateOption) error {
	options := &client.CreateOptions{}
	options.ApplyOptions(opts)
	secret := object.(*corev1.Secret)
	if len(options.DryRun) > 0 {
		return p.call(ctx, request{"try", "Secret/" + secret.Name}, func() error { return p.cluster.tryCreate(secret) })
	}
	return p.call(ctx, request{"create", "Secret/" + secret.Name}, func() error { return p.cluster.create(secret) })
}

func (p *process) Delete(ctx context.Context, object client.Object, opts ...client.DeleteOption) error {
	options := &client.DeleteOptions{}
	options.ApplyOptions(opts)
	secret := object.(*corev1.Secret)
	return p.call(ctx, request{"delete", "Secret/" + secret.Name}, func() error {
		return p.cluster.delete(secret, *options.Preconditions.UID)
	})
}

func (p *process) Update(ctx context.Context, object client.Object, _ ...client.UpdateOption) error {
	secret := object.(*corev1.Secret)
	return p.call(ctx, request{"update", "Secret/" + secret.Name}, func() error { return p.cluster.update(secret) })
}

// look stands for the dry run of a deletion.
func (p *process) look(ctx context.Context, name types.NamespacedName) (*corev1.Secret, error) {
	var found *corev1.Secret
	err := p.call(ctx, request{"look", named("Secret", name)}, func() error {
		there, err := read(p.cluster.secrets, name, "secrets")
		found = there.DeepCopy()
		return err
	})
	return found, err
}

func (p *process) Status() client.SubResourceWriter { return statusOf{process: p} }

type statusOf struct {
	client.SubResourceWriter
	process *process
}

func (s statusOf) Patch(ctx context.Context, object client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	partial := object.(*metav1.PartialObjectMetadata)
	data, err := patch.Data(partial)
	if err != nil {
		return err
	}
	return s.process.call(ctx, request{"record", "UserSecret/" + partial.Name}, func() error { return s.process.cluster.record(partial, data) })
}
