package projection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/catalogue"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/inject"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/owner"
	"usersecrets.dev/operator/internal/secretvalue"
	"usersecrets.dev/operator/internal/selection"
)

// scope holds the facts of one look at one pod.
type scope struct {
	pod     *corev1.Pod
	now     time.Time
	request inject.Request
	// malformed says why the pod's request cannot be read, or is nil.
	malformed error
	// current is the projection that is there, or nil.
	current *issued
	owner   string
	parts   []part
	// unclear says why not everything could be found out; the look is tried
	// again. It is nil where no projection is there: then nothing is done at all.
	unclear error
}

// part is one element of the request with what became of it.
type part struct {
	choice selection.Choice
	value  secretvalue.Value
	keyID  envelope.KeyID
	// err says why there is no value.
	err error
}

// undecided says that the value may well be fine, and only could not be looked
// at, since the key to it or the API server was not at hand: what a pod has is
// not taken away for that.
func (p part) undecided() bool { return errors.Is(p.err, keyring.ErrUnknownKey) || transient(p.err) }

func (s *scope) podName() types.NamespacedName {
	return types.NamespacedName{Namespace: s.pod.Namespace, Name: s.pod.Name}
}

func (s *scope) projection() string { return s.pod.Annotations[v1alpha1.ProjectionAnnotation] }

// finished says that nothing will be issued to the pod any more.
func (s *scope) finished() bool {
	if s.current == nil {
		return done(s.pod) || !s.pod.DeletionTimestamp.IsZero()
	}
	return s.current.gone
}

func (r *Reconciler) observe(ctx context.Context, s *scope) error {
	if err := r.observeCurrent(ctx, s); err != nil {
		return err
	}
	if done(s.pod) || s.finished() {
		return nil
	}
	if r.observeRequest(s); s.malformed != nil {
		return nil
	}
	return r.observeParts(ctx, s)
}

// errUnprepared means that the pod did not go through our admission.
var errUnprepared = errors.New("the pod names no projection, since the admission webhook did not prepare it: delete it and create it again")

// observeRequest reads what the pod asks for. Limits were checked at admission;
// one that was lowered since shortens a pod's time and does not make its request
// wrong. A projection that is there is held to its bounds even where the request,
// as after an upgrade, cannot be read any more.
func (r *Reconciler) observeRequest(s *scope) {
	s.request, s.malformed = inject.ParseRequest(s.pod, inject.Limits{})
	switch {
	case s.malformed != nil && s.current != nil:
		s.request, s.malformed = boundsOf(s.pod), nil
	case s.malformed == nil && !strings.HasPrefix(s.projection(), v1alpha1.ProjectionNamePrefix):
		s.malformed = errUnprepared
	}
	s.request.TTL = r.Limits.Clamp(s.request.TTL)
}

// boundsOf is the part of a request that matters to a projection that is there:
// who uses it, and for how long.
func boundsOf(pod *corev1.Pod) inject.Request {
	var bounds inject.Request
	bounds.Workflow, bounds.Node = inject.Identify(pod)
	ttl, err := time.ParseDuration(strings.TrimSpace(pod.Annotations[v1alpha1.TTLAnnotation]))
	if err == nil && ttl > 0 {
		bounds.TTL = ttl
	}
	return bounds
}

// observeCurrent remembers, or where that is in doubt asks, what was issued.
func (r *Reconciler) observeCurrent(ctx context.Context, s *scope) error {
	s.current = r.known.of(s.podName()).issued
	if s.current != nil || !r.inherit.unasked(s.pod.UID) {
		return nil
	}
	secret, err := r.lookAt(ctx, s.pod.Namespace, s.projection())
	if err != nil {
		return err
	}
	if secret == nil || secret.Annotations[v1alpha1.PodUIDAnnotation] != string(s.pod.UID) {
		r.inherit.asked(s.pod.UID)
		return nil
	}
	s.current = fromSecret(secret)
	r.known.issued(s.podName(), s.current)
	return nil
}

func (r *Reconciler) observeParts(ctx context.Context, s *scope) error {
	var noOwner error
	s.owner, noOwner = r.Owners.Of(ctx, s.pod.Namespace)
	if s.current != nil && ttlOver(s) {
		return nil // whatever the values are, they go
	}
	choices, err := r.choose(ctx, s)
	if err != nil {
		return err
	}
	var live *reading
	if s.current == nil && noOwner == nil && servable(choices) {
		live = r.owners.ask(s.pod.Namespace) // while the values are opened
	}
	for _, choice := range choices {
		p := part{choice: choice, err: cmp.Or(choice.Err, noOwner)}
		if p.err == nil {
			r.openPart(ctx, s, &p)
		}
		if transient(p.err) {
			s.unclear = fmt.Errorf("%s: %w", choice.Item.Source(), p.err)
		}
		s.parts = append(s.parts, p)
	}
	switch {
	case s.current != nil:
		return nil
	case live != nil && s.unclear == nil:
		return live.confirm(ctx, s.owner)
	default:
		return s.unclear
	}
}

// servable says whether every part of a request has its UserSecret.
func servable(choices []selection.Choice) bool {
	return !slices.ContainsFunc(choices, func(c selection.Choice) bool { return c.Err != nil })
}

// choose asks for the same UserSecrets, by name, that the projection was made
// from: which one a provider means may change while the pod runs.
func (r *Reconciler) choose(ctx context.Context, s *scope) ([]selection.Choice, error) {
	var list v1alpha1.UserSecretList
	if err := r.Cache.List(ctx, &list, client.InNamespace(s.pod.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing UserSecrets: %w", err)
	}
	world := selection.World{Now: s.now, Provider: r.provider(ctx)}
	for i := range list.Items {
		world.UserSecrets = append(world.UserSecrets, &list.Items[i])
	}
	if s.current == nil {
		return selection.Choose(world, s.request.Items), nil
	}
	items := make([]inject.Item, 0, len(s.current.sources))
	for _, key := range slices.Sorted(maps.Keys(s.current.sources)) {
		items = append(items, inject.Item{Name: s.current.sources[key].Name, Key: key})
	}
	choices := selection.Choose(world, items)
	for i := range choices {
		choices[i].Err = cmp.Or(s.current.sources[choices[i].Key].mismatch(choices[i].UserSecret), choices[i].Err)
	}
	return choices, nil
}

func (r *Reconciler) provider(ctx context.Context) func(string) (*v1alpha1.SecretProvider, error) {
	return func(name string) (*v1alpha1.SecretProvider, error) {
		provider := &v1alpha1.SecretProvider{}
		err := r.Cache.Get(ctx, types.NamespacedName{Name: name}, provider)
		if apierrors.IsNotFound(err) {
			return nil, catalogue.UnknownProvider(name)
		}
		if err != nil {
			return nil, fmt.Errorf("reading provider %q: %w", name, err)
		}
		return provider, nil
	}
}

func (r *Reconciler) openPart(ctx context.Context, s *scope, p *part) {
	us := p.choice.UserSecret
	sealed, err := envelope.Parse(us.Spec.EncryptedValue)
	if err != nil {
		p.err = err
		return
	}
	p.keyID = sealed.KeyID()
	p.value, p.err = r.Keys.Open(ctx, sealed, envelope.Binding{Owner: s.owner, Namespace: us.Namespace, Name: us.Name})
	if p.err == nil && s.request.As == inject.AsEnv {
		p.err = inject.EnvValue(p.value)
	}
}

// lasting are the reasons that only somebody's act changes; that act is an
// event that is watched for. Any other error is tried again.
var lasting = []error{
	owner.ErrNone, keyring.ErrUnknownKey, inject.ErrEnvValue,
	catalogue.ErrUnknownProvider, catalogue.ErrUnknownType,
	selection.ErrMissing, selection.ErrInactive, selection.ErrExpired, selection.ErrAmbiguous,
	envelope.ErrNotOpened, envelope.ErrBinding, envelope.ErrVersion, envelope.ErrKeyID,
	envelope.ErrEncoding, envelope.ErrTooShort, envelope.ErrTooLong,
}

func transient(err error) bool {
	if err == nil {
		return false
	}
	for _, known := range lasting {
		if errors.Is(err, known) {
			return false
		}
	}
	return true
}
