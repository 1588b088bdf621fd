package kms

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// serveVault is the transit engine of Vault and OpenBao.
func serveVault(s *service, w http.ResponseWriter, r *http.Request) {
	if got := r.Header.Get("X-Vault-Token"); got != "token" {
		s.t.Errorf("token %q", got)
	}
	body := s.body(r)
	answer := map[string]string{}
	switch {
	case strings.Contains(r.URL.Path, "/encrypt/"):
		answer["ciphertext"] = sealedPrefix + decode(s.t, body["plaintext"])
	case strings.Contains(r.URL.Path, "/decrypt/"):
		ciphertext, _ := body["ciphertext"].(string)
		text, ok := unseal(ciphertext)
		if !ok {
			s.refusal = refusal{http.StatusBadRequest, `{"errors":["invalid ciphertext: no prefix"]}`}
		}
		answer["plaintext"] = encode(text)
	default:
		s.t.Errorf("path %q", r.URL.Path)
	}
	s.answer(w, "application/json", map[string]any{"data": answer})
}

func startVault(t *testing.T) (*service, *Root) {
	t.Helper()
	s := start(t, serveVault)
	t.Setenv("VAULT_ADDR", s.URL)
	t.Setenv("VAULT_TOKEN", "token")
	return s, open(t, "hashivault://usersecrets")
}

func TestVault(t *testing.T) {
	s, root := startVault(t)
	checkRoundTrip(t, root)
	if diff := cmp.Diff([]string{"PUT /v1/transit/encrypt/usersecrets", "PUT /v1/transit/decrypt/usersecrets"}, s.paths); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	_, err := root.Unwrap(t.Context(), []byte("altered"))
	checkError(t, err, false, "hashivault://usersecrets refuses to decrypt it: Vault answers 400: invalid ciphertext: no prefix")

	checkVerdicts(t, root, func(r refusal) { s.refusal = r }, map[string]verdict{
		"altered": {
			refusal:   refusal{http.StatusBadRequest, `{"errors":["cipher: message authentication failed"]}`},
			wantError: "hashivault://usersecrets refuses to decrypt it: Vault answers 400: cipher: message authentication failed",
		},
		"altered, by another cipher": {
			refusal:   refusal{http.StatusBadRequest, `{"errors":["chacha20poly1305: message authentication failed"]}`},
			wantError: "hashivault://usersecrets refuses to decrypt it: Vault answers 400: chacha20poly1305: message authentication failed",
		},
		// The same status, and nothing about the ciphertext.
		"the key deleted": {
			refusal:     refusal{http.StatusBadRequest, `{"errors":["encryption key not found"]}`},
			unavailable: true, wantError: unavailableText(root, "Vault answers 400: encryption key not found"),
		},
		"the key's version disallowed": {
			refusal:     refusal{http.StatusBadRequest, `{"errors":["ciphertext or signature version is disallowed by policy (too old)"]}`},
			unavailable: true, wantError: unavailableText(root, "Vault answers 400: ciphertext or signature version is disallowed by policy (too old)"),
		},
		"denied": {
			refusal:     refusal{http.StatusForbidden, `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`},
			unavailable: true, wantError: unavailableText(root, "Vault answers 403: 1 error occurred: * permission denied"),
		},
		"no such engine": {
			refusal:     refusal{http.StatusNotFound, `{"errors":["no handler for route \"transit/decrypt/usersecrets\". route entry not found."]}`},
			unavailable: true, wantError: unavailableText(root, `Vault answers 404: no handler for route "transit/decrypt/usersecrets". route entry not found.`),
		},
		"sealed": {
			refusal:     refusal{http.StatusServiceUnavailable, `{"errors":["Vault is sealed"]}`},
			unavailable: true, wantError: unavailableText(root, "Vault answers 503: Vault is sealed"),
		},
		"without a reason": {
			refusal:     refusal{http.StatusTooManyRequests, `{"errors":[]}`},
			unavailable: true, wantError: unavailableText(root, "Vault answers 429"),
		},
		// The library's client panics on these two.
		"an answer without plaintext": {
			refusal:     refusal{http.StatusOK, `{"data":{}}`},
			unavailable: true, wantError: unavailableText(root, "the answer is not one of the service's"),
		},
		"no answer": {
			refusal:     refusal{http.StatusNoContent, ``},
			unavailable: true, wantError: unavailableText(root, "the answer is not one of the service's"),
		},
	})
}

func TestVaultHangs(t *testing.T) {
	s, root := startVault(t)
	s.hang = make(chan struct{})
	defer close(s.hang)
	root.patience = 1
	_, err := root.Unwrap(t.Context(), []byte(sealedPrefix))
	checkError(t, err, true, "the root key cannot be reached: hashivault://usersecrets did not answer to decrypt within 1ns")
	_, err = root.Wrap(t.Context(), []byte(plaintext))
	checkError(t, err, true, "the root key cannot be reached: hashivault://usersecrets did not answer to encrypt within 1ns")
}

// A client is made for each root key: what one URL says is not said of the next,
// and what was not there at the first attempt is found at the second.
func TestVaultClientsAreMadeAnew(t *testing.T) {
	t.Setenv("VAULT_ADDR", "")
	t.Setenv("VAULT_SERVER_URL", "")
	_, err := Open(t.Context(), "hashivault://usersecrets")
	checkError(t, err, true, "preparing hashivault://usersecrets: the root key cannot be reached: the environment variable VAULT_ADDR is not set")

	s, root := startVault(t)
	other := open(t, "hashivault://usersecrets?engine=other")
	if other.ID() != "hashivault://usersecrets?engine=other" || other.ID() == root.ID() {
		t.Errorf("ids are %s and %s", root.ID(), other.ID())
	}
	checkRoundTrip(t, other)
	checkRoundTrip(t, open(t, "hashivault://usersecrets"))
	if diff := cmp.Diff([]string{
		"PUT /v1/other/encrypt/usersecrets", "PUT /v1/other/decrypt/usersecrets",
		"PUT /v1/transit/encrypt/usersecrets", "PUT /v1/transit/decrypt/usersecrets",
	}, s.paths); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}
