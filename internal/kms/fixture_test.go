package kms

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"usersecrets.dev/operator/internal/keyring"
)

const plaintext = "usersecrets.dev/key-material/1 canary"

// refusal is what a service answers instead; a zero status means that it serves.
type refusal struct {
	status int
	body   string
}

// service is a KMS on loopback. It "encrypts" by a prefix.
type service struct {
	*httptest.Server
	t *testing.T
	// serve is the service's protocol.
	serve   func(s *service, w http.ResponseWriter, r *http.Request)
	refusal refusal
	// hang is closed to have requests answered that hang.
	hang  chan struct{}
	paths []string
}

func start(t *testing.T, serve func(*service, http.ResponseWriter, *http.Request)) *service {
	t.Helper()
	s := &service{t: t, serve: serve}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// ServeHTTP implements http.Handler.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.paths = append(s.paths, r.Method+" "+r.URL.Path)
	if s.hang != nil {
		<-s.hang
	}
	s.serve(s, w, r)
}

// answer writes JSON, or the refusal that is set.
func (s *service) answer(w http.ResponseWriter, contentType string, body any) {
	w.Header().Set("Content-Type", contentType)
	if s.refusal.status != 0 {
		w.WriteHeader(s.refusal.status)
		_, _ = io.WriteString(w, s.refusal.body)
		return
	}
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.t.Error(err)
	}
}

func (s *service) body(r *http.Request) map[string]any {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		s.t.Errorf("the request's body: %v", err)
	}
	return body
}

const sealedPrefix = "sealed:"

// unseal takes the prefix off, or says that it is not there.
func unseal(ciphertext string) (string, bool) { return strings.CutPrefix(ciphertext, sealedPrefix) }

func encode(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func decode(t *testing.T, text any) string {
	t.Helper()
	s, ok := text.(string)
	if !ok {
		t.Errorf("%v is no text", text)
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// open opens a root key whose requests are given up after a second.
func open(t *testing.T, address string) *Root {
	t.Helper()
	root, err := Open(context.Background(), address)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	root.patience = time.Second
	return root
}

// checkRoundTrip: what is wrapped is not the plaintext, and unwraps to it.
func checkRoundTrip(t *testing.T, root *Root) []byte {
	t.Helper()
	ctx := context.Background()
	wrapped, err := root.Wrap(ctx, []byte(plaintext))
	if err != nil || string(wrapped) == plaintext {
		t.Fatalf("wrapped to %q, error %v", wrapped, err)
	}
	if got, err := root.Unwrap(ctx, wrapped); err != nil || string(got) != plaintext {
		t.Fatalf("unwrapped to %q, error %v", got, err)
	}
	return wrapped
}

// verdict is what becomes of a service's answer.
type verdict struct {
	refusal     refusal
	unavailable bool
	wantError   string
}

// checkVerdicts has a service answer to unwrapping as told.
func checkVerdicts(t *testing.T, root *Root, set func(refusal), tests map[string]verdict) {
	t.Helper()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			set(tt.refusal)
			got, err := root.Unwrap(context.Background(), []byte(sealedPrefix+plaintext))
			checkError(t, err, tt.unavailable, tt.wantError)
			if got != nil {
				t.Errorf("unwrapped to %d bytes", len(got))
			}
		})
	}
	set(refusal{})
}

func checkError(t *testing.T, err error, unavailable bool, want string) {
	t.Helper()
	if err == nil || err.Error() != want || errors.Is(err, keyring.ErrRootUnavailable) != unavailable {
		t.Errorf("unavailable: want %t, error\n%v, want\n%s", unavailable, err, want)
	}
	if err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), encode("canary"))) {
		t.Error("the error repeats what was sent")
	}
}

// unavailableText is the text of a service that cannot be asked.
func unavailableText(root *Root, reason string) string {
	return fmt.Sprintf("the root key cannot be reached: %s: %s", root.ID(), reason)
}
