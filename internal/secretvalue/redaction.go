package secretvalue

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Redacted is what every printed, logged or marshalled Value reads as. It is
// the same for all, the empty one too.
const Redacted = "[redacted]"

// String implements [fmt.Stringer].
func (Value) String() string { return Redacted }

// GoString implements [fmt.GoStringer].
func (Value) GoString() string { return Redacted }

// Format implements [fmt.Formatter] for every verb, also those that would pass
// by String, such as %x and %d.
func (Value) Format(f fmt.State, _ rune) {
	// A formatter has no way to report a failed write; fmt keeps it.
	_, _ = io.WriteString(f, Redacted)
}

// MarshalJSON implements [json.Marshaler], and so YAML by way of JSON.
func (Value) MarshalJSON() ([]byte, error) { return json.Marshal(Redacted) }

// MarshalText implements [encoding.TextMarshaler].
func (Value) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// LogValue implements [slog.LogValuer].
func (Value) LogValue() slog.Value { return slog.StringValue(Redacted) }
