package envelope

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Binding is the place that a value is sealed for. Whoever opens takes it from
// the place where the sealed value was found, never from a copy beside it.
type Binding struct {
	// Owner is the Kubernetes username that the namespace belongs to, 1 to 512
	// bytes.
	Owner string
	// Namespace of the UserSecret, 1 to 253 bytes.
	Namespace string
	// Name of the UserSecret, 1 to 253 bytes.
	Name string
}

// Validate returns ErrBinding, with the field and its remedy, for a field that
// is empty, too long, not UTF-8 or has a NUL in it (section 3.1). Whether
// Kubernetes would accept a name is not asked.
func (b Binding) Validate() error {
	if err := validateField("owner", b.Owner, MaxOwnerLength); err != nil {
		return err
	}
	if err := validateField("namespace", b.Namespace, MaxNamespaceLength); err != nil {
		return err
	}
	return validateField("name", b.Name, MaxNameLength)
}

func validateField(field, s string, limit int) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: its %s is empty, and must be known before sealing", ErrBinding, field)
	case len(s) > limit:
		return fmt.Errorf("%w: its %s has %d bytes, choose one of at most %d", ErrBinding, field, len(s), limit)
	case !utf8.ValidString(s):
		return fmt.Errorf("%w: its %s is not valid UTF-8, choose one that is", ErrBinding, field)
	case strings.ContainsRune(s, 0):
		return fmt.Errorf("%w: its %s has a NUL character in it, choose one without", ErrBinding, field)
	}
	return nil
}

// info is HPKE's info of section 5. Each field has its length before it, so that
// no two bindings, and no binding under two keys, encode alike.
func (b Binding) info(id KeyID) []byte {
	info := append([]byte(infoLabel), 0)
	for _, field := range []string{b.Owner, b.Namespace, b.Name, string(id)} {
		info = binary.BigEndian.AppendUint16(info, uint16(len(field))) //nolint:gosec // G115: validated, no field is near 64 KiB
		info = append(info, field...)
	}
	return info
}
