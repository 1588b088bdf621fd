package secretvalue

import (
	"bytes"
	"crypto/subtle"
)

// Value is a secret: any bytes, text or not. The zero Value is empty and safe
// to use. Copies of a Value share its bytes; the bytes never change, except
// that [Value.Zero] takes them away from all copies at once.
//
// Values are not comparable with ==, and reflect.DeepEqual never finds two of
// them equal unless both are the zero Value: use [Value.Equal].
type Value struct {
	// held is a function because nothing that walks a value by reflection can
	// look into one. A slice in its place would be printed in clear by
	// fmt.Printf("%v", x) wherever x has a Value in an unexported field, since
	// fmt calls no methods there.
	held func() *[]byte
}

// New returns a Value with a copy of b. The caller still has b, and clears it
// where it should not stay in memory.
func New(b []byte) Value {
	held := bytes.Clone(b)
	return Value{held: func() *[]byte { return &held }}
}

// FromString returns a Value with the bytes of s.
func FromString(s string) Value {
	held := []byte(s)
	return Value{held: func() *[]byte { return &held }}
}

// Bytes returns the secret itself, not a copy: the caller must not change it.
// It is nil for the zero Value and after Zero.
func (v Value) Bytes() []byte {
	if v.held == nil {
		return nil
	}
	return *v.held()
}

// Len returns the number of bytes.
func (v Value) Len() int { return len(v.Bytes()) }

// Equal reports whether both hold the same bytes. Its time depends on their
// lengths, not on what they are.
func (v Value) Equal(other Value) bool {
	return subtle.ConstantTimeCompare(v.Bytes(), other.Bytes()) == 1
}

// Zero overwrites the bytes in memory and leaves this Value and all its copies
// empty. It reaches no copy that was made of what Bytes returned, nor the
// string that FromString was given. It must not run while others read.
func (v Value) Zero() {
	if v.held == nil {
		return
	}
	held := v.held()
	clear(*held)
	*held = nil
}
