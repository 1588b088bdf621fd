package main

import (
	"context"

	"github.com/hashicorp/go-multierror"
	"github.com/hashicorp/vault/sdk/logical"
)

// rights are what a token's policies amount to.
type rights int

const (
	useOfKeys rights = iota
	everything
)

// tokens are kept from one run to the next.
type tokens struct {
	root    string
	storage logical.Storage
}

// rights says what a token may do, and refuses one that is unknown with Vault's
// words.
func (t *tokens) rights(ctx context.Context, token string) (rights, error) {
	if token == "" {
		return 0, logical.ErrPermissionDenied
	}
	if token == t.root {
		return everything, nil
	}
	known, err := t.storage.Get(ctx, token)
	if err == nil && known == nil {
		err = multierror.Append(logical.ErrPermissionDenied, logical.ErrInvalidToken)
	}
	return useOfKeys, err
}

func (t *tokens) create(ctx context.Context, data map[string]any) (*logical.Response, error) {
	id, _ := data["id"].(string)
	if id == "" {
		return logical.ErrorResponse("the id is to be given here"), logical.ErrInvalidRequest
	}
	return &logical.Response{Auth: &logical.Auth{ClientToken: id}}, t.storage.Put(ctx, &logical.StorageEntry{Key: id, Value: []byte(id)})
}

func (t *tokens) revoke(ctx context.Context, data map[string]any) (*logical.Response, error) {
	id, _ := data["token"].(string)
	return nil, t.storage.Delete(ctx, id)
}
