package keyring

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/expirable"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
)

var (
	// ErrUnknownKey means that no key of that id is in the vault.
	ErrUnknownKey = errors.New("unknown encryption key")
	// ErrNoKey means that the vault holds no key at all.
	ErrNoKey = errors.New("the vault has no encryption key")
)

const (
	// Derived user keys are kept for this long and at most this many, so that
	// a burst of pods derives each once while memory stays bounded (about
	// 10 KiB each) and keys of idle users do not linger.
	userKeyTTL   = 5 * time.Minute
	maxUserKeys  = 1024
	reloadPeriod = time.Second
)

// Config says where the material is and what unwraps it.
type Config struct {
	// Client reads and creates Secrets; it must not be cached, or an informer
	// would hold every Secret that it may list.
	Client client.Client
	// Namespace is the operator's namespace.
	Namespace string
	// Roots are the root keys: the first wraps, all unwrap.
	Roots []Root
	// Clock defaults to the system's.
	Clock clock.PassiveClock
}

// Key describes an encryption key without its material.
type Key struct {
	ID       envelope.KeyID
	Name     string
	Sequence uint64
}

type versionKey struct {
	Key
	material []byte
}

type userKeyRef struct {
	keyID envelope.KeyID
	owner string
}

// Keyring seals and opens. It is safe for concurrent use.
type Keyring struct {
	store store
	clock clock.PassiveClock
	users *lru.LRU[userKeyRef, *envelope.UserKey]

	mu       sync.RWMutex
	versions []versionKey // ascending sequence; the last one is active
	identity []byte

	// reloading keeps a slow look from putting an older list in place of a newer
	// one, and guards when a key id was last looked up live, and with what error.
	reloading sync.Mutex
	lookedAt  time.Time
	lookErr   error
}

// New returns an empty Keyring. Bootstrap or Reload fill it.
func New(cfg Config) *Keyring {
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	return &Keyring{
		store: store{client: cfg.Client, namespace: cfg.Namespace, roots: cfg.Roots},
		clock: cfg.Clock,
		users: lru.NewLRU[userKeyRef, *envelope.UserKey](maxUserKeys, nil, userKeyTTL),
	}
}

// Reload reads all material again. A wrong root key is ErrWrongRootKey, altered
// material is ErrTampered; then the keys known before stay.
func (k *Keyring) Reload(ctx context.Context) error {
	k.reloading.Lock()
	defer k.reloading.Unlock()
	return k.reload(ctx)
}

func (k *Keyring) reload(ctx context.Context) error {
	loaded, identity, err := k.store.load(ctx)
	if err != nil {
		return err
	}
	versions := make([]versionKey, 0, len(loaded))
	for _, m := range loaded {
		id, err := m.id()
		if err != nil {
			return err
		}
		versions = append(versions, versionKey{Key: Key{ID: id, Name: m.name, Sequence: m.sequence}, material: m.key})
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.versions = versions
	if identity != nil {
		k.identity = identity.key
	}
	return nil
}

// Keys lists the keys in the vault, oldest first.
func (k *Keyring) Keys() []Key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	keys := make([]Key, 0, len(k.versions))
	for _, v := range k.versions {
		keys = append(keys, v.Key)
	}
	return keys
}

// Active is the key that new values are sealed with.
func (k *Keyring) Active() (Key, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if len(k.versions) == 0 {
		return Key{}, ErrNoKey
	}
	return k.versions[len(k.versions)-1].Key, nil
}

// PublicKey is the public key of an owner under the active key.
func (k *Keyring) PublicKey(owner string) (*envelope.PublicKey, error) {
	active, err := k.Active()
	if err != nil {
		return nil, err
	}
	key, err := k.userKey(active.ID, owner)
	if err != nil {
		return nil, err
	}
	return key.PublicKey(), nil
}

// Seal seals a value for its place under the active key.
func (k *Keyring) Seal(place envelope.Binding, value secretvalue.Value) (string, error) {
	public, err := k.PublicKey(place.Owner)
	if err != nil {
		return "", err
	}
	return public.Seal(place, value)
}

// Open opens a sealed value. Besides the errors of envelope.UserKey.Open it
// returns ErrUnknownKey, after a live look.
func (k *Keyring) Open(ctx context.Context, sealed envelope.Sealed, place envelope.Binding) (secretvalue.Value, error) {
	key, err := k.userKey(sealed.KeyID(), place.Owner)
	if errors.Is(err, ErrUnknownKey) {
		if err := k.reloadOnce(ctx); err != nil {
			return secretvalue.Value{}, err
		}
		key, err = k.userKey(sealed.KeyID(), place.Owner)
	}
	if err != nil {
		return secretvalue.Value{}, err
	}
	return key.Open(sealed, place)
}

// OpenText parses and opens a sealed value.
func (k *Keyring) OpenText(ctx context.Context, text string, place envelope.Binding) (secretvalue.Value, error) {
	sealed, err := envelope.Parse(text)
	if err != nil {
		return secretvalue.Value{}, err
	}
	return k.Open(ctx, sealed, place)
}

// reloadOnce reloads at most once a second, whether or not that succeeds, so
// that made-up key ids cannot be turned into load on the API server.
func (k *Keyring) reloadOnce(ctx context.Context) error {
	k.reloading.Lock()
	defer k.reloading.Unlock()
	if k.clock.Since(k.lookedAt) < reloadPeriod {
		return k.lookErr
	}
	err := k.reload(ctx)
	if err != nil {
		err = fmt.Errorf("looking for an unknown key: %w", err)
	}
	// That one caller gave up says nothing to the next.
	if ctx.Err() == nil {
		k.lookedAt, k.lookErr = k.clock.Now(), err
	}
	return err
}

func (k *Keyring) userKey(id envelope.KeyID, owner string) (*envelope.UserKey, error) {
	ref := userKeyRef{keyID: id, owner: owner}
	if key, ok := k.users.Get(ref); ok {
		return key, nil
	}
	material, err := k.material(id)
	if err != nil {
		return nil, err
	}
	key, err := envelope.DeriveUserKey(id, material, owner)
	if err != nil {
		return nil, err
	}
	k.users.Add(ref, key)
	return key, nil
}

func (k *Keyring) material(id envelope.KeyID) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for i := range k.versions {
		if k.versions[i].ID == id {
			return k.versions[i].material, nil
		}
	}
	return nil, fmt.Errorf("%w %s: it was sealed for another vault, or the key was deleted; seal the value again with 'kubectl usersecret seal'", ErrUnknownKey, id)
}

// valueIDSize is the size of a value id in bytes: 128 bits of HMAC-SHA256.
const valueIDSize = 16

// ValueID is a keyed MAC (HMAC-SHA256, RFC 2104, truncated to 128 bits, in
// hexadecimal) of a value and its place. Its key never rotates, so that it
// tells a new value from the same value sealed again, and it lets nobody
// without the key check a guess.
func (k *Keyring) ValueID(place envelope.Binding, value secretvalue.Value) (string, error) {
	k.mu.RLock()
	identity := k.identity
	k.mu.RUnlock()
	if identity == nil {
		return "", ErrNoKey
	}
	key, err := hkdf.Key(sha256.New, identity, nil, "usersecrets.dev/value-id", KeySize)
	if err != nil {
		return "", fmt.Errorf("deriving the value id's key: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	for _, field := range []string{place.Owner, place.Namespace, place.Name} {
		_ = binary.Write(mac, binary.BigEndian, uint16(len(field))) //nolint:gosec // G115: bounded by the envelope's limits
		_, _ = mac.Write([]byte(field))
	}
	_, _ = mac.Write(value.Bytes())
	return hex.EncodeToString(mac.Sum(nil)[:valueIDSize]), nil
}
