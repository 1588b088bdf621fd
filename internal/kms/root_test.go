package kms

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"gocloud.dev/gcerrors"
	"gocloud.dev/secrets"

	"usersecrets.dev/operator/internal/keyring"
)

func TestOpenRefuses(t *testing.T) {
	const give = "the root key's URL is not one of a KMS: give one of awskms://, azurekeyvault://, gcpkms://, hashivault://"
	tests := map[string]struct{ address, wantError string }{
		"nothing":             {"", give},
		"no URL":              {"a root key", give},
		"not even nearly":     {"awskms://%zz", give},
		"a path":              {"/etc/root-key", give},
		"another scheme":      {"https://vault.example.com/key", give},
		"one of the library":  {"base64key://", give},
		"upper case":          {"AWSKMS:///alias/usersecrets?port=80", "the root key's URL is not one of a KMS: open keeper awskms:///alias/usersecrets?port=80: unknown query parameter \"port\""},
		"no key":              {"hashivault://", "the root key's URL is not one of a KMS: it names no key, as in hashivault://KEY"},
		"a slash":             {"awskms:///", "the root key's URL is not one of a KMS: it names no key, as in awskms://KEY"},
		"an option alone":     {"awskms://?region=eu-central-1", "the root key's URL is not one of a KMS: it names no key, as in awskms://KEY"},
		"an unknown option":   {"hashivault://usersecrets?port=80", `the root key's URL is not one of a KMS: open keeper hashivault://usersecrets?port=80: invalid query parameter "port"`},
		"no vault of Azure's": {"azurekeyvault://usersecrets/keys/root", "the root key's URL is not one of a KMS: invalid keyID \"https://usersecrets/keys/root\"; must match ^(https://.+\\.vault\\.(?:[a-z\\d-.]+)/)keys/(.+)$ []"},
	}
	t.Setenv("VAULT_ADDR", "http://127.0.0.1:1")
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			root, err := Open(context.Background(), tt.address)
			if !errors.Is(err, ErrURL) || root != nil {
				t.Errorf("opened %v, error %v; want ErrURL", root, err)
			}
			checkError(t, err, false, tt.wantError)
		})
	}
}

// The id is stored beside what the key wraps.
func TestID(t *testing.T) {
	tests := map[string]string{
		"hashivault://usersecrets":                                                                  "hashivault://usersecrets",
		"hashivault://usersecrets?engine=transit-eu":                                                "hashivault://usersecrets?engine=transit-eu",
		"hashivault://user:password@usersecrets":                                                    "hashivault://usersecrets",
		"awskms://alias/usersecrets":                                                                "awskms://alias/usersecrets",
		"awskms:///alias/usersecrets":                                                               "awskms://alias/usersecrets",
		"awskms:///alias/usersecrets?region=eu-central-1":                                           "awskms://alias/usersecrets?region=eu-central-1",
		"awskms:///alias/usersecrets?endpoint=http://127.0.0.1&region=a%26b":                        "awskms://alias/usersecrets?region=a%26b",
		"awskms:///arn:aws:kms:eu-central-1:111122223333:alias/usersecrets?context_app=usersecrets": "awskms://arn:aws:kms:eu-central-1:111122223333:alias/usersecrets",
		"gcpkms://" + googleKey:                                                                     "gcpkms://" + googleKey,
		"azurekeyvault://usersecrets.vault.azure.net/keys/root":                                     "azurekeyvault://usersecrets.vault.azure.net/keys/root",
		"azurekeyvault://usersecrets.vault.azure.net/keys/root?algorithm=RSA-OAEP-256":              "azurekeyvault://usersecrets.vault.azure.net/keys/root",
	}
	for address, want := range tests {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := name(u); got != want {
			t.Errorf("id of %s is %s, want %s", address, got, want)
		}
	}
}

// What is empty is refused without asking: not every service says so itself.
func TestNothingToUnwrap(t *testing.T) {
	_, err := (&Root{}).Unwrap(context.Background(), nil)
	checkError(t, err, false, "there is nothing to decrypt")
}

// deaf is a client that heeds no context.
type deaf struct {
	takes    time.Duration
	sent     []byte
	answer   []byte
	err      error
	answered bool
}

func (d *deaf) Encrypt(_ context.Context, plaintext []byte) ([]byte, error) {
	time.Sleep(d.takes)
	d.sent = bytes.Clone(plaintext)
	d.answered = true
	return d.answer, d.err
}

func (d *deaf) Decrypt(_ context.Context, _ []byte) ([]byte, error) {
	time.Sleep(d.takes)
	d.answered = true
	return d.answer, d.err
}

func (d *deaf) Close() error                       { return nil }
func (d *deaf) ErrorAs(error, any) bool            { return false }
func (d *deaf) ErrorCode(error) gcerrors.ErrorCode { return gcerrors.Unknown }

// The times are those of a bubble.
func TestRequestsAreBounded(t *testing.T) {
	tests := map[string]struct {
		takes time.Duration
		err   error
		// cancel is when the caller gives up, if it does.
		cancel    time.Duration
		wantAfter time.Duration
		wantError string
	}{
		"in time":                {takes: 9 * time.Second, wantAfter: 9 * time.Second},
		"late":                   {takes: 30 * time.Second, wantAfter: 10 * time.Second, wantError: "the root key cannot be reached: kms://deaf did not answer to decrypt within 10s"},
		"late, with an error":    {takes: 30 * time.Second, err: errors.New("late"), wantAfter: 10 * time.Second, wantError: "the root key cannot be reached: kms://deaf did not answer to decrypt within 10s"},
		"an error, in time":      {takes: time.Second, err: errors.New("no\n\tspace left"), wantAfter: time.Second, wantError: "the root key cannot be reached: kms://deaf: secrets (code=Unknown): no space left"},
		"given up by its caller": {takes: 9 * time.Second, cancel: time.Second, wantAfter: time.Second, wantError: "the root key cannot be reached: waiting for kms://deaf to decrypt: context canceled"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := &deaf{takes: tt.takes, answer: []byte(plaintext), err: tt.err}
				root := &Root{id: "kms://deaf", keeper: secrets.NewKeeper(client), patience: requestTime}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.cancel > 0 {
					time.AfterFunc(tt.cancel, cancel)
				}
				began := time.Now()
				got, err := root.Unwrap(ctx, []byte("wrapped"))
				if after := time.Since(began); after != tt.wantAfter {
					t.Errorf("returned after %s, want %s", after, tt.wantAfter)
				}
				if tt.wantError == "" {
					if err != nil || string(got) != plaintext {
						t.Errorf("unwrapped to %q, error %v", got, err)
					}
					return
				}
				checkError(t, err, true, tt.wantError)
				// What comes too late is erased.
				time.Sleep(time.Minute)
				synctest.Wait()
				if tt.err == nil && !bytes.Equal(client.answer, make([]byte, len(plaintext))) {
					t.Errorf("answered: %t; the plaintext that came late stays in memory", client.answered)
				}
			})
		})
	}
}

// A caller erases its plaintext when it is told that nobody answered; a request
// that goes on must not send zeros in its place.
func TestARequestHasItsOwnPlaintext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &deaf{takes: 30 * time.Second}
		root := &Root{id: "kms://deaf", keeper: secrets.NewKeeper(client), patience: requestTime}
		mine := []byte(plaintext)
		_, err := root.Wrap(t.Context(), mine)
		checkError(t, err, true, "the root key cannot be reached: kms://deaf did not answer to encrypt within 10s")
		clear(mine)
		time.Sleep(time.Minute)
		if string(client.sent) != plaintext {
			t.Errorf("sent %q", client.sent)
		}
	})
}

// Azure's login ends its texts with what differs each time.
func TestReasonsDoNotDiffer(t *testing.T) {
	got := reason(errors.New("authentication failed.\nAADSTS7000215: Invalid client secret provided. Trace ID: 1234 Timestamp: 2026-03-01 12:00:00Z"))
	if want := "authentication failed. AADSTS7000215: Invalid client secret provided."; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
}

// Root is what a keyring takes.
var _ keyring.Root = (*Root)(nil)
