package keyring

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/erasing"
)

// Kinds of material. The kind is bound into the wrap, so that one cannot be
// passed off as the other.
const (
	kindEncryptionKey = "encryption-key"
	kindIdentityKey   = "value-identity-key"
)

const wrapLabel = "usersecrets.dev/key-material/1"

var (
	// ErrWrongRootKey means that material was wrapped by a root key that the
	// operator was not given.
	ErrWrongRootKey = errors.New("wrong root key")
	// ErrTampered means that material was wrapped by the root key at hand, but
	// was changed since, or belongs to another name.
	ErrTampered = errors.New("key material was altered")
	// ErrRootUnavailable means that a root key in a KMS could not be asked. It
	// says nothing about the material.
	ErrRootUnavailable = errors.New("the root key cannot be reached")
)

// material is a key with what is bound to it by the wrap. The sequence number,
// and not a creation time, orders keys: it survives a backup and restore.
type material struct {
	kind     string
	name     string
	sequence uint64
	key      []byte
}

func newMaterial(kind, name string, sequence uint64) material {
	key := make([]byte, KeySize)
	// crypto/rand.Read never returns an error; it ends the process instead.
	_, _ = rand.Read(key)
	return material{kind: kind, name: name, sequence: sequence, key: key}
}

// header is everything but the key: the label, then kind and name after their
// 16-bit big-endian lengths, then the 64-bit big-endian sequence number.
func (m material) header() []byte {
	b := append([]byte(wrapLabel), 0)
	for _, field := range []string{m.kind, m.name} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(field))) //nolint:gosec // G115: names are at most 253 bytes
		b = append(b, field...)
	}
	return binary.BigEndian.AppendUint64(b, m.sequence)
}

func (m material) wrap(ctx context.Context, root Root) ([]byte, error) {
	plaintext := append(m.header(), m.key...)
	defer clear(plaintext)
	wrapped, err := root.Wrap(ctx, plaintext)
	if err != nil {
		return nil, fmt.Errorf("wrapping %s %q: %w", m.kind, m.name, err)
	}
	return wrapped, nil
}

// unwrap opens wrapped material and checks that it is what it is filed as.
func unwrap(ctx context.Context, root Root, kind, name string, wrapped []byte) (material, error) {
	plaintext, err := root.Unwrap(ctx, wrapped)
	if errors.Is(err, ErrRootUnavailable) {
		return material{}, fmt.Errorf("unwrapping %s %q: %w", kind, name, err)
	}
	if err != nil {
		return material{}, fmt.Errorf("%w: %s %q does not unwrap; restore its Secret from a backup", ErrTampered, kind, name)
	}
	defer clear(plaintext)
	var m material
	erasing.Do(func() { m, err = readRecord(kind, name, plaintext) })
	return m, err
}

// readRecord reads the unwrapped record; the key is a copy.
func readRecord(kind, name string, plaintext []byte) (material, error) {
	m := material{kind: kind, name: name}
	rest := len(m.header())
	if len(plaintext) != rest+KeySize {
		return material{}, fmt.Errorf("%w: %s %q holds other material; restore its Secret from a backup", ErrTampered, kind, name)
	}
	m.sequence = binary.BigEndian.Uint64(plaintext[rest-8 : rest])
	if !bytes.Equal(plaintext[:rest], m.header()) {
		return material{}, fmt.Errorf("%w: %s %q holds other material; restore its Secret from a backup", ErrTampered, kind, name)
	}
	m.key = bytes.Clone(plaintext[rest:])
	return m, nil
}

// id is the key id of an encryption key.
func (m material) id() (envelope.KeyID, error) {
	return envelope.NewKeyID(m.name, m.key)
}
