package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/helper/jsonutil"
	"github.com/hashicorp/vault/sdk/logical"
)

// server answers https://developer.hashicorp.com/vault/api-docs/secret/transit, and
// of https://developer.hashicorp.com/vault/api-docs/auth/token making and revoking.
type server struct {
	engine logical.Backend
	keys   logical.Storage
	tokens tokens
}

var operations = map[string]logical.Operation{
	http.MethodGet: logical.ReadOperation, http.MethodPost: logical.UpdateOperation,
	http.MethodPut: logical.UpdateOperation, http.MethodDelete: logical.DeleteOperation,
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request, err := read(r)
	if err != nil {
		logical.RespondError(w, http.StatusBadRequest, err)
		return
	}
	response, err := s.answer(r.Context(), request)
	code, err := logical.RespondErrorCommon(request, response, err)
	switch {
	case err != nil || code >= http.StatusBadRequest:
		logical.RespondError(w, code, err)
	case response == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(logical.LogicalResponseToHTTPResponse(response)) // to nobody, where it fails
	}
}

func read(r *http.Request) (*logical.Request, error) {
	request := &logical.Request{
		Operation:   operations[r.Method],
		Path:        strings.TrimPrefix(r.URL.Path, "/v1/"),
		ClientToken: r.Header.Get(consts.AuthHeaderName),
	}
	err := jsonutil.DecodeJSONFromReader(r.Body, &request.Data)
	if errors.Is(err, io.EOF) { // no body
		return request, nil
	}
	return request, err
}

func (s *server) answer(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	if r.Path == "sys/health" {
		return &logical.Response{Data: map[string]any{"initialized": true, "sealed": false}}, nil
	}
	may, err := s.tokens.rights(ctx, r.ClientToken)
	if err != nil {
		return nil, err
	}
	if path, ok := strings.CutPrefix(r.Path, "transit/"); ok {
		r.Path, r.Storage = path, s.keys
		return s.ask(ctx, r, may)
	}
	if may != everything {
		return nil, logical.ErrPermissionDenied
	}
	switch r.Path {
	case "auth/token/create":
		return s.tokens.create(ctx, r.Data)
	case "auth/token/revoke":
		return s.tokens.revoke(ctx, r.Data)
	}
	return nil, logical.ErrUnsupportedPath
}

// ask has the engine answer. As in Vault, writing to what is not there yet is
// creating it, which is another right.
func (s *server) ask(ctx context.Context, r *logical.Request, may rights) (*logical.Response, error) {
	if r.Operation == logical.UpdateOperation {
		checked, exists, err := s.engine.HandleExistenceCheck(ctx, r)
		if err != nil {
			return nil, err
		}
		if checked && !exists {
			r.Operation = logical.CreateOperation
		}
	}
	uses := strings.HasPrefix(r.Path, "encrypt/") || strings.HasPrefix(r.Path, "decrypt/")
	if may != everything && (!uses || r.Operation != logical.UpdateOperation) {
		return nil, logical.ErrPermissionDenied
	}
	return s.engine.HandleRequest(ctx, r)
}
