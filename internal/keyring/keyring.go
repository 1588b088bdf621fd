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
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/expirable"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/erasing"
	"usersecrets.dev/operator/internal/secretvalue"
)

var (
	// ErrUnknownKey means that no key of that id is in the vault.
	ErrUnknownKey = errors.New("unknown encryption key")
	// ErrNoKey means that the vault holds no key at all.
	ErrNoKey = errors.New("the vault has no encryption key")
	// ErrNewestKey means that nothing is sealed, since the newest key is not at
	// hand. Values that older keys sealed still open. Restoring its material ends
	// that, and so does a new key, which is newer.
	ErrNewestKey = errors.New("nothing is sealed while the newest encryption key is missing")
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
	Clock clock.Clock
	// UserKeyTTL is how long a derived user key is kept; 5 minutes where zero.
	UserKeyTTL time.Duration
}

func (c Config) withDefaults() Config {
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	if c.UserKeyTTL == 0 {
		c.UserKeyTTL = userKeyTTL
	}
	return c
}

// Key describes an encryption key without its material.
type Key struct {
	ID envelope.KeyID
	// Name is that of the EncryptionKey that stands for the key. It is the name in
	// the id, or the whole id where another key of that name was there first.
	Name     string
	Sequence uint64
	// RootKeyID identifies the root key that wraps the material.
	RootKeyID string
	// Removable is since when the material may be removed; zero where it may not.
	Removable time.Time
}

type userKeyRef struct {
	keyID envelope.KeyID
	owner string
}

// Keyring seals and opens. It is safe for concurrent use.
type Keyring struct {
	store store
	clock clock.Clock
	users *lru.LRU[userKeyRef, *envelope.UserKey]

	mu       sync.RWMutex
	versions []versionKey // in ascending order; the last one is active
	identity *versionKey
	problems map[string]error // by the name of the EncryptionKey
	sealing  error            // why nothing is sealed, or nil
	rank     uint64           // the highest sequence number of what is broken or lost
	locked   error            // why nothing is opened either, or nil

	// reloading keeps a slow look from putting an older list in place of a newer
	// one, or keys in place of those that were erased meanwhile. It guards when the
	// last live look for a key id began, and with what error it ended.
	reloading sync.Mutex
	lookedAt  time.Time
	lookErr   error
}

// New returns an empty Keyring. Bootstrap or Reload fill it.
func New(cfg Config) *Keyring {
	cfg = cfg.withDefaults()
	return &Keyring{
		store: store{client: cfg.Client, namespace: cfg.Namespace, roots: cfg.Roots},
		clock: cfg.Clock,
		users: lru.NewLRU[userKeyRef, *envelope.UserKey](maxUserKeys, nil, cfg.UserKeyTTL),
	}
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

// Has says whether a key is at hand.
func (k *Keyring) Has(id envelope.KeyID) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.ContainsFunc(k.versions, func(v versionKey) bool { return v.ID == id })
}

// Active is the key that new values are sealed with. Errors: ErrNoKey,
// ErrNewestKey, ErrRootUnavailable.
func (k *Keyring) Active() (Key, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	switch {
	case k.locked != nil:
		return Key{}, k.locked
	case k.sealing != nil:
		return Key{}, k.sealing
	case len(k.versions) == 0:
		return Key{}, ErrNoKey
	}
	return k.versions[len(k.versions)-1].Key, nil
}

// Problem says what is wrong with the stored material of an EncryptionKey:
// ErrTampered, ErrMaterialLost, ErrWrongRootKey, ErrRootUnavailable,
// envelope.ErrKeyID for a name that no key id can have, or nil. The key may be at
// hand all the same, in memory.
func (k *Keyring) Problem(name string) error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.problems[name]
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
		if err := k.reloadOnce(ctx, k.clock.Now()); err != nil {
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
// that made-up key ids cannot be turned into load on the API server. Whoever comes
// in between waits for the next look, which serves all that wait.
func (k *Keyring) reloadOnce(ctx context.Context, asked time.Time) error {
	k.reloading.Lock()
	defer k.reloading.Unlock()
	if k.lookedAt.After(asked) {
		return k.lookErr
	}
	if left := reloadPeriod - k.clock.Since(k.lookedAt); left > 0 && !k.lookedAt.IsZero() {
		select {
		case <-k.clock.After(left):
		case <-ctx.Done():
			return fmt.Errorf("looking for an unknown key: %w", ctx.Err())
		}
	}
	// A key that is made while this look goes on may not be in it, so it serves
	// only those that asked before it began.
	began := k.clock.Now()
	err := k.reload(ctx)
	if err != nil {
		err = fmt.Errorf("looking for an unknown key: %w", err)
	}
	// That one caller gave up says nothing to the next.
	if ctx.Err() == nil {
		k.lookedAt, k.lookErr = began, err
	}
	return err
}

func (k *Keyring) userKey(id envelope.KeyID, owner string) (*envelope.UserKey, error) {
	// Held until the key is derived and kept: material that is dropped meanwhile
	// is erased.
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.locked != nil {
		return nil, k.locked
	}
	ref := userKeyRef{keyID: id, owner: owner}
	if key, ok := k.users.Get(ref); ok {
		return key, nil
	}
	for i := range k.versions {
		if k.versions[i].ID != id {
			continue
		}
		key, err := envelope.DeriveUserKey(id, k.versions[i].material.key, owner)
		if err != nil {
			return nil, err
		}
		k.users.Add(ref, key)
		return key, nil
	}
	return nil, k.unknown(id)
}

// unknown says why a key is not at hand. Only where nothing is wrong with its
// material is sealing again the remedy.
func (k *Keyring) unknown(id envelope.KeyID) error {
	for _, object := range []string{id.Name(), string(id)} {
		if problem := k.problems[object]; problem != nil {
			return fmt.Errorf("%w %s: %w", ErrUnknownKey, id, problem)
		}
	}
	return fmt.Errorf("%w %s: it was sealed for another vault, or the key was deleted; seal the value again with 'kubectl usersecret seal'", ErrUnknownKey, id)
}

// valueIDSize is the size of a value id in bytes: 128 bits of HMAC-SHA256.
const valueIDSize = 16

// ValueID is a keyed MAC (HMAC-SHA256, RFC 2104, truncated to 128 bits, in
// hexadecimal) of a value and its place. Its key never rotates, so that it
// tells a new value from the same value sealed again, and it lets nobody
// without the key check a guess.
func (k *Keyring) ValueID(place envelope.Binding, value secretvalue.Value) (string, error) {
	var id []byte
	var err error
	erasing.Do(func() { id, err = k.valueID(place, value) })
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(id), nil
}

func (k *Keyring) valueID(place envelope.Binding, value secretvalue.Value) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.locked != nil {
		return nil, k.locked
	}
	if k.identity == nil {
		return nil, ErrNoKey
	}
	key, err := hkdf.Key(sha256.New, k.identity.material.key, nil, "usersecrets.dev/value-id", KeySize)
	if err != nil {
		return nil, fmt.Errorf("deriving the value id's key: %w", err)
	}
	defer clear(key)
	mac := hmac.New(sha256.New, key)
	for _, field := range []string{place.Owner, place.Namespace, place.Name} {
		_ = binary.Write(mac, binary.BigEndian, uint16(len(field))) //nolint:gosec // G115: bounded by the envelope's limits
		_, _ = mac.Write([]byte(field))
	}
	_, _ = mac.Write(value.Bytes())
	return mac.Sum(nil)[:valueIDSize], nil
}
