package kms

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"gocloud.dev/secrets"

	"usersecrets.dev/operator/internal/keyring"
)

var (
	// ErrURL means that a root key's URL is none.
	ErrURL = errors.New("the root key's URL is not one of a KMS")

	// errAnswer is what a client makes of an answer that it did not expect.
	errAnswer = errors.New("the answer is not one of the service's")
	// errNothing refuses what no service need be asked about.
	errNothing = errors.New("there is nothing to decrypt")
)

// requestTime bounds one request to a KMS.
const requestTime = 10 * time.Second

// Root is a root key in a KMS.
type Root struct {
	id     string
	keeper *secrets.Keeper
	// patience is requestTime, but in tests.
	patience time.Duration
}

// Open prepares a root key from a URL, such as "awskms:///alias/usersecrets?region=eu-central-1",
// "gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K", "azurekeyvault://NAME.vault.azure.net/keys/KEY"
// or "hashivault://KEY". Credentials come from where each service's own client
// looks for them. Errors: ErrURL; keyring.ErrRootUnavailable where the client
// cannot be made, such as without credentials.
func Open(ctx context.Context, address string) (*Root, error) {
	u, err := url.Parse(address)
	if err != nil || !slices.Contains(Schemes, u.Scheme) {
		return nil, fmt.Errorf("%w: give one of %s", ErrURL, strings.Join(withSlashes(), ", "))
	}
	if strings.Trim(u.Host+u.Path, "/") == "" {
		return nil, fmt.Errorf("%w: it names no key, as in %s://KEY", ErrURL, u.Scheme)
	}
	keeper, err := openers[u.Scheme](ctx, u)
	if errors.Is(err, keyring.ErrRootUnavailable) {
		return nil, fmt.Errorf("preparing %s: %w", name(u), err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrURL, reason(err))
	}
	return &Root{id: name(u), keeper: keeper, patience: requestTime}, nil
}

func withSlashes() []string {
	out := make([]string, 0, len(Schemes))
	for _, scheme := range Schemes {
		out = append(out, scheme+"://")
	}
	return out
}

// naming are the options that say which key it is: an alias is another key in
// another region, and a name another in another engine. All others say how to
// reach it.
var naming = []string{"engine", "region"}

// name is the URL without the options that do not name the key.
func name(u *url.URL) string {
	id := u.Scheme + "://" + strings.TrimPrefix(u.Host+u.Path, "/")
	options := url.Values{}
	for _, option := range naming {
		if value := u.Query().Get(option); value != "" {
			options.Set(option, value)
		}
	}
	if len(options) > 0 {
		id += "?" + options.Encode()
	}
	return id
}

// ID is the URL, without the options that do not name the key. It tells nothing
// secret.
func (r *Root) ID() string { return r.id }

// Wrap implements keyring.Root.
func (r *Root) Wrap(ctx context.Context, plaintext []byte) ([]byte, error) {
	// A copy, since the caller erases its own also while a request goes on that
	// nobody waits for any more.
	mine := slices.Clone(plaintext)
	return r.ask(ctx, "encrypt", func(ctx context.Context) ([]byte, error) {
		defer clear(mine)
		return r.keeper.Encrypt(ctx, mine)
	})
}

// Unwrap implements keyring.Root.
func (r *Root) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	if len(wrapped) == 0 {
		return nil, errNothing
	}
	return r.ask(ctx, "decrypt", func(ctx context.Context) ([]byte, error) { return r.keeper.Decrypt(ctx, wrapped) })
}

type answer struct {
	bytes []byte
	err   error
}

// ask bounds a request: not every service's client heeds the context.
func (r *Root) ask(ctx context.Context, action string, request func(context.Context) ([]byte, error)) ([]byte, error) {
	within, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	answers := make(chan answer, 1)
	go func() { answers <- attempt(within, request) }()
	select {
	case a := <-answers:
		if a.err != nil && within.Err() == nil {
			return nil, r.explain(action, a.err)
		}
		if a.err == nil {
			return a.bytes, nil
		}
	case <-within.Done():
		go func() {
			late := <-answers
			clear(late.bytes)
		}()
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: waiting for %s to %s: %w", keyring.ErrRootUnavailable, r.id, action, err)
	}
	return nil, fmt.Errorf("%w: %s did not answer to %s within %s", keyring.ErrRootUnavailable, r.id, action, r.patience)
}

// attempt makes a request. Vault's client panics on an answer that lacks what it
// looks for, as a proxy's may.
func attempt(ctx context.Context, request func(context.Context) ([]byte, error)) (a answer) {
	defer func() {
		if recover() != nil {
			a = answer{err: errAnswer}
		}
	}()
	bytes, err := request(ctx)
	return answer{bytes, err}
}
