// Package keybackup is the file that key material is carried away in: what lies in
// the operator's Secrets, still wrapped by the root key, and encrypted once more
// with age (C2SP age), for recipients or with a passphrase.
//
// The file opens values only together with the root key, which lies elsewhere, or
// is put into the file on request.
package keybackup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/internal/keyring"
)

// Format names the format and its version.
const Format = "usersecrets.dev/key-backup/1"

// maxSize bounds a backup: ten thousand keys have 4 MiB.
const maxSize = 16 << 20

var (
	// ErrFormat means that a file is no backup, or one of another version.
	ErrFormat = errors.New("the file is no backup of key material")
	// ErrOpen means that the identity or passphrase at hand does not open it.
	ErrOpen = errors.New("the backup does not open with this identity or passphrase")

	errSize = errors.New("the backup is too large")
)

// Backup is all key material of one vault.
type Backup struct {
	Format    string    `json:"format"`
	CreatedAt time.Time `json:"createdAt"`
	// Server is the URL of the API server that it comes from.
	Server string `json:"server"`
	// Secrets hold the material, wrapped.
	Secrets []Secret `json:"secrets"`
	// RootKey is the root key's text, where the backup was made with it.
	RootKey string `json:"rootKey,omitempty"`
}

// Secret is what one Secret of the operator's namespace holds.
type Secret struct {
	Name        string            `json:"name"`
	Kind        string            `json:"kind"`
	Annotations map[string]string `json:"annotations,omitempty"`
	RootKeyID   string            `json:"rootKeyID"`
	Wrapped     []byte            `json:"wrapped"`
}

// kept are the annotations that a restored Secret needs.
var kept = []string{keyring.NameAnnotation, keyring.SequenceAnnotation, keyring.KeyIDAnnotation}

// FromSecret takes what is to be kept of a Secret.
func FromSecret(s *corev1.Secret) Secret {
	out := Secret{
		Name: s.Name, Kind: s.Labels[keyring.MaterialLabel],
		RootKeyID: string(s.Data[keyring.RootKeyField]), Wrapped: s.Data[keyring.WrappedField],
	}
	for _, key := range kept {
		if text, ok := s.Annotations[key]; ok {
			if out.Annotations == nil {
				out.Annotations = map[string]string{}
			}
			out.Annotations[key] = text
		}
	}
	return out
}

// Secret makes the Secret again.
func (s Secret) Secret(namespace string) *corev1.Secret {
	out := keyring.NewMaterialSecret(namespace, s.Kind, s.Name, s.Wrapped, s.RootKeyID)
	out.Annotations = s.Annotations
	return out
}

// Write encrypts a backup, as text (age's armor).
func Write(w io.Writer, b Backup, recipients ...age.Recipient) error {
	b.Format = Format
	plain, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("encoding the backup: %w", err)
	}
	defer clear(plain)
	if len(plain) > maxSize {
		return fmt.Errorf("%w: it would have %d bytes, more than the %d that can be read again", errSize, len(plain), maxSize)
	}
	text := armor.NewWriter(w)
	encrypted, err := age.Encrypt(text, recipients...)
	if err != nil {
		return fmt.Errorf("encrypting the backup: %w", err)
	}
	if _, err := encrypted.Write(plain); err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	if err := errors.Join(encrypted.Close(), text.Close()); err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	return nil
}

// Read decrypts a backup. Errors: ErrFormat, ErrOpen.
func Read(r io.Reader, identities ...age.Identity) (*Backup, error) {
	decrypted, err := age.Decrypt(armor.NewReader(r), identities...)
	var noMatch *age.NoIdentityMatchError
	if errors.As(err, &noMatch) {
		return nil, ErrOpen
	}
	if err != nil {
		return nil, ErrFormat
	}
	plain, err := io.ReadAll(io.LimitReader(decrypted, maxSize))
	defer clear(plain)
	if err != nil {
		return nil, fmt.Errorf("%w: it is cut off or was altered", ErrFormat)
	}
	b := &Backup{}
	decoder := json.NewDecoder(bytes.NewReader(plain))
	if err := decoder.Decode(b); err != nil || b.Format != Format {
		return nil, ErrFormat
	}
	return b, nil
}
