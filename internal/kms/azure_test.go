package kms

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"gocloud.dev/secrets/azurekeyvault"
)

// serveAzure is Key Vault: who brings no token is told where to get one.
func serveAzure(s *service, w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "" {
		w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://vault.azure.net"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body := s.body(r)
	value, err := base64.RawURLEncoding.DecodeString(body["value"].(string))
	if err != nil || body["alg"] != "RSA-OAEP-256" {
		s.t.Errorf("algorithm %v, value: %v", body["alg"], err)
	}
	out := sealedPrefix + string(value)
	if strings.HasSuffix(r.URL.Path, "/decrypt") {
		var ok bool
		if out, ok = unseal(string(value)); !ok {
			s.refusal = refusal{http.StatusBadRequest, `{"error":{"code":"BadParameter","message":"the value is not decryptable"}}`}
		}
	}
	s.answer(w, "application/json", map[string]string{"kid": "https://usersecrets.vault.azure.net/keys/root/1", "value": base64.RawURLEncoding.EncodeToString([]byte(out))})
}

type tokens struct{}

func (tokens) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "token", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// startAzure is a Key Vault behind a client that finds it on loopback.
func startAzure(t *testing.T) (*service, *Root) {
	t.Helper()
	s := &service{t: t, serve: serveAzure}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	keeper, err := azurekeyvault.OpenKeeper(func(string) (*azkeys.Client, error) {
		return azkeys.NewClient(s.URL, tokens{}, &azkeys.ClientOptions{
			ClientOptions:                        policy.ClientOptions{Transport: s.Client(), Retry: policy.RetryOptions{MaxRetries: -1}},
			DisableChallengeResourceVerification: true,
		})
	}, "https://usersecrets.vault.azure.net/keys/root/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, &Root{id: "azurekeyvault://usersecrets.vault.azure.net/keys/root/1", keeper: keeper, patience: time.Second}
}

func TestAzure(t *testing.T) {
	s, root := startAzure(t)
	checkRoundTrip(t, root)
	_, err := root.Unwrap(t.Context(), []byte("altered"))
	checkError(t, err, false, root.ID()+" refuses to decrypt it: Azure answers 400: BadParameter")

	checkVerdicts(t, root, func(r refusal) { s.refusal = r }, map[string]verdict{
		"altered": {
			refusal:   refusal{http.StatusBadRequest, `{"error":{"code":"BadParameter","message":"the parameter is incorrect"}}`},
			wantError: root.ID() + " refuses to decrypt it: Azure answers 400: BadParameter",
		},
		"disabled": {
			refusal:     refusal{http.StatusForbidden, `{"error":{"code":"Forbidden","message":"Operation decrypt is not allowed on a disabled key.","innererror":{"code":"KeyDisabled"}}}`},
			unavailable: true, wantError: unavailableText(root, "Azure answers 403: Forbidden"),
		},
		"deleted": {
			refusal:     refusal{http.StatusNotFound, `{"error":{"code":"KeyNotFound","message":"A key with (name/id) root was not found in this key vault."}}`},
			unavailable: true, wantError: unavailableText(root, "Azure answers 404: KeyNotFound"),
		},
		"throttled": {
			refusal:     refusal{http.StatusTooManyRequests, `{"error":{"code":"Throttled","message":"Request was not processed because too many requests were received."}}`},
			unavailable: true, wantError: unavailableText(root, "Azure answers 429: Throttled"),
		},
		"broken": {
			refusal:     refusal{http.StatusInternalServerError, ``},
			unavailable: true, wantError: unavailableText(root, "Azure answers 500"),
		},
	})
}

func TestAzureHangs(t *testing.T) {
	s, root := startAzure(t)
	s.hang = make(chan struct{})
	defer close(s.hang)
	root.patience = 1
	_, err := root.Unwrap(t.Context(), []byte(sealedPrefix))
	checkError(t, err, true, "the root key cannot be reached: "+root.ID()+" did not answer to decrypt within 1ns")
}
