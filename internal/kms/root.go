package kms

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
	"gocloud.dev/gcerrors"
	"gocloud.dev/secrets"
	_ "gocloud.dev/secrets/awskms" // registers its scheme
	_ "gocloud.dev/secrets/azurekeyvault"
	_ "gocloud.dev/secrets/gcpkms"
	_ "gocloud.dev/secrets/hashivault"

	"usersecrets.dev/operator/internal/keyring"
)

// Schemes are the URL schemes of the services.
var Schemes = []string{"awskms", "azurekeyvault", "gcpkms", "hashivault"}

// ErrURL means that a root key's URL is none.
var ErrURL = errors.New("the root key's URL is not one of a KMS")

// requestTime bounds one request to a KMS.
const requestTime = 10 * time.Second

// Root is a root key in a KMS.
type Root struct {
	id     string
	keeper *secrets.Keeper
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
	keeper, err := secrets.OpenKeeper(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("%w: preparing %s: %s", keyring.ErrRootUnavailable, name(u), strings.TrimSpace(err.Error()))
	}
	return &Root{id: name(u), keeper: keeper}, nil
}

func withSlashes() []string {
	out := make([]string, 0, len(Schemes))
	for _, scheme := range Schemes {
		out = append(out, scheme+"://")
	}
	return out
}

// name is the URL without its query, which says how to reach the key and not
// which one it is.
func name(u *url.URL) string { return u.Scheme + "://" + strings.TrimPrefix(u.Host+u.Path, "/") }

// ID is the URL without its query. It tells nothing secret.
func (r *Root) ID() string { return r.id }

// Wrap implements keyring.Root.
func (r *Root) Wrap(ctx context.Context, plaintext []byte) ([]byte, error) {
	return r.ask(ctx, "encrypt", func(ctx context.Context) ([]byte, error) { return r.keeper.Encrypt(ctx, plaintext) })
}

// Unwrap implements keyring.Root.
func (r *Root) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	return r.ask(ctx, "decrypt", func(ctx context.Context) ([]byte, error) { return r.keeper.Decrypt(ctx, wrapped) })
}

// ask bounds a request: not every service's client heeds the context.
func (r *Root) ask(ctx context.Context, action string, request func(context.Context) ([]byte, error)) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	type answer struct {
		bytes []byte
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		bytes, err := request(ctx)
		answers <- answer{bytes, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			return nil, r.explain(action, a.err)
		}
		return a.bytes, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %s did not answer to %s within %s", keyring.ErrRootUnavailable, r.id, action, requestTime)
	}
}

// explain tells a refusal of the ciphertext from a service that cannot be asked.
// No service's error repeats what it was sent.
func (r *Root) explain(action string, err error) error {
	if refusesCiphertext(err) {
		return fmt.Errorf("%s refuses to %s it: %s", r.id, action, reason(err))
	}
	return fmt.Errorf("%w: %s: %s", keyring.ErrRootUnavailable, r.id, reason(err))
}

// refusesCiphertext: AWS says InvalidCiphertextException, Google and Azure
// INVALID_ARGUMENT and 400, which gocloud maps alike. Vault answers 400, which
// gocloud does not map.
func refusesCiphertext(err error) bool {
	if gcerrors.Code(err) == gcerrors.InvalidArgument {
		return true
	}
	var vault *api.ResponseError
	return errors.As(err, &vault) && vault.StatusCode == http.StatusBadRequest
}

// reason is an error on one line.
func reason(err error) string {
	var vault *api.ResponseError
	if errors.As(err, &vault) {
		return fmt.Sprintf("Vault answers %d: %s", vault.StatusCode, strings.Join(vault.Errors, "; "))
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
