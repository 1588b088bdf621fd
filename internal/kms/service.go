package kms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/hashicorp/vault/api"
	"gocloud.dev/gcp"
	"gocloud.dev/secrets"
	"gocloud.dev/secrets/awskms"
	"gocloud.dev/secrets/azurekeyvault"
	"gocloud.dev/secrets/gcpkms"
	"gocloud.dev/secrets/hashivault"

	"usersecrets.dev/operator/internal/keyring"
)

// Schemes are the URL schemes of the services.
var Schemes = []string{awskms.Scheme, azurekeyvault.Scheme, gcpkms.Scheme, hashivault.Scheme}

// openers make a client for each root key. The library's own openers keep the
// first client, or the error instead of it, for as long as the process lives: one
// that starts before its credentials are there would never find them, and the
// options of one URL would be those of the next.
var openers = map[string]func(context.Context, *url.URL) (*secrets.Keeper, error){
	awskms.Scheme:        openAWS,
	azurekeyvault.Scheme: openAzure,
	gcpkms.Scheme:        openGoogle,
	hashivault.Scheme:    openVault,
}

var errVaultAddress = errors.New("the environment variable VAULT_ADDR is not set")

func openAWS(ctx context.Context, u *url.URL) (*secrets.Keeper, error) {
	return (&awskms.URLOpener{}).OpenKeeperURL(ctx, u)
}

func openAzure(ctx context.Context, u *url.URL) (*secrets.Keeper, error) {
	maker := func(vault string) (*azkeys.Client, error) {
		client, err := azurekeyvault.DefaultClientMaker(vault)
		if err != nil {
			return nil, unavailable(err)
		}
		return client, nil
	}
	return (&azurekeyvault.URLOpener{ClientMaker: maker}).OpenKeeperURL(ctx, u)
}

func openGoogle(ctx context.Context, u *url.URL) (*secrets.Keeper, error) {
	credentials, err := gcp.DefaultCredentials(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	client, _, err := gcpkms.Dial(ctx, credentials.TokenSource)
	if err != nil {
		return nil, unavailable(err)
	}
	return (&gcpkms.URLOpener{Client: client}).OpenKeeperURL(ctx, u)
}

// openVault reads the variables that the library reads.
func openVault(ctx context.Context, u *url.URL) (*secrets.Keeper, error) {
	address := cmp.Or(os.Getenv("VAULT_SERVER_URL"), os.Getenv("VAULT_ADDR"))
	if address == "" {
		return nil, unavailable(errVaultAddress)
	}
	// The client heeds no context. This ends what nobody waits for any more.
	client, err := hashivault.Dial(ctx, &hashivault.Config{
		Token:     cmp.Or(os.Getenv("VAULT_SERVER_TOKEN"), os.Getenv("VAULT_TOKEN")),
		APIConfig: api.Config{Address: address, Timeout: 2 * requestTime},
	})
	if err != nil {
		return nil, unavailable(err)
	}
	return (&hashivault.URLOpener{Client: client}).OpenKeeperURL(ctx, u)
}

func unavailable(err error) error {
	return fmt.Errorf("%w: %s", keyring.ErrRootUnavailable, reason(err))
}
