package secretvalue_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"usersecrets.dev/operator/internal/secretvalue"
)

const canary = "canary-0123456789-canary"

// holder has a Value in every kind of place that printers treat differently.
type holder struct {
	Exported   secretvalue.Value
	unexported secretvalue.Value
	Pointer    *secretvalue.Value
	Any        any
	List       []secretvalue.Value
	Map        map[string]secretvalue.Value
}

func newHolder(v secretvalue.Value) holder {
	return holder{
		Exported: v, unexported: v, Pointer: &v, Any: v,
		List: []secretvalue.Value{v}, Map: map[string]secretvalue.Value{"key": v},
	}
}

// leaks reports whether out shows secret in clear or in a form that fmt or a
// marshaller would give it.
func leaks(out, secret string) bool {
	b := []byte(secret)
	decimals := strings.Trim(fmt.Sprint(b), "[]")
	forms := []string{
		secret, hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)),
		base64.StdEncoding.EncodeToString(b), decimals, strings.ReplaceAll(decimals, " ", ","),
		strings.Trim(fmt.Sprintf("%#v", b), "[]byte{}"), strings.Trim(fmt.Sprintf("%o", b), "[]"),
	}
	for _, form := range forms {
		if strings.Contains(out, form) {
			return true
		}
	}
	return false
}

func TestPrintingRedacts(t *testing.T) {
	v := secretvalue.FromString(canary)
	for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X % x %#x %d %o %b %c %U %t %p %e %T %w %10s %.3s %z") {
		for name, arg := range map[string]any{"value": v, "pointer": &v, "holder": newHolder(v), "error": fmt.Errorf("%v", v)} {
			// Errorf, since its %w takes a way through fmt that calls no
			// formatter when the operand is no error.
			if out := fmt.Errorf(verb, arg).Error(); leaks(out, canary) {
				t.Errorf("%s of a %s leaks: %s", verb, name, out)
			}
		}
	}
	if got := fmt.Sprintf("%v|%s|%x|%#v|%5d", v, v, v, v, v); got != strings.Repeat(secretvalue.Redacted+"|", 4)+secretvalue.Redacted {
		t.Errorf("printed %q", got)
	}
	if v.String() != secretvalue.Redacted || v.GoString() != secretvalue.Redacted {
		t.Errorf("String() = %q, GoString() = %q, want %q", v.String(), v.GoString(), secretvalue.Redacted)
	}
}

func TestRedactionTellsNoLength(t *testing.T) {
	empty, long := secretvalue.Value{}, secretvalue.FromString(strings.Repeat(canary, 100))
	if fmt.Sprint(empty) != fmt.Sprint(long) {
		t.Errorf("an empty value prints %q and a long one %q", empty, long)
	}
}

// record is what an API type with a Value in it would look like.
type record struct {
	Field secretvalue.Value `json:"field"`
}

func TestMarshallingRedacts(t *testing.T) {
	marshallers := map[string]func(any) ([]byte, error){"json": json.Marshal, "yaml": yaml.Marshal, "xml": xml.Marshal}
	for name, marshal := range marshallers {
		t.Run(name, func(t *testing.T) {
			out, err := marshal(record{secretvalue.FromString(canary)})
			if err != nil {
				t.Fatalf("marshalling: %v", err)
			}
			if leaks(string(out), canary) || !strings.Contains(string(out), secretvalue.Redacted) {
				t.Errorf("marshalled to %s", out)
			}
		})
	}
	out, err := json.Marshal(newHolder(secretvalue.FromString(canary)))
	if err != nil || leaks(string(out), canary) {
		t.Errorf("marshalled to %s, error %v", out, err)
	}
	if out, err := (secretvalue.Value{}).MarshalJSON(); err != nil || string(out) != `"`+secretvalue.Redacted+`"` {
		t.Errorf("MarshalJSON() = %s, error %v", out, err)
	}
	if err := gob.NewEncoder(io.Discard).Encode(record{}); err == nil {
		t.Error("gob, which knows no redaction, took a Value")
	}
}

func TestLoggingRedacts(t *testing.T) {
	v := secretvalue.FromString(canary)
	handlers := map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	}
	for name, handler := range handlers {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			slog.New(handler(&b)).Info("opened", "value", v, "holder", newHolder(v))
			if leaks(b.String(), canary) || !strings.Contains(b.String(), secretvalue.Redacted) {
				t.Errorf("logged %s", &b)
			}
		})
	}
	if got := v.LogValue(); !got.Equal(slog.StringValue(secretvalue.Redacted)) {
		t.Errorf("LogValue() = %v", got)
	}
}

// Printers that dump by reflection (of test failures, of panics) reach what is
// unexported, follow pointers and call no methods.
func TestReflectionFindsNoBytes(t *testing.T) {
	var visit func(reflect.Value, int)
	visit = func(x reflect.Value, depth int) {
		if depth > 20 {
			t.Fatal("still going down after 20 steps")
		}
		switch x.Kind() {
		case reflect.Pointer, reflect.Interface:
			if !x.IsNil() {
				visit(x.Elem(), depth+1)
			}
		case reflect.Struct:
			for i := range x.NumField() {
				visit(x.Field(i), depth+1)
			}
		case reflect.Slice, reflect.Array:
			if x.Type().Elem().Kind() == reflect.Uint8 {
				t.Errorf("reached bytes: %q", x.Bytes())
				return
			}
			for i := range x.Len() {
				visit(x.Index(i), depth+1)
			}
		case reflect.Map:
			for _, key := range x.MapKeys() {
				visit(x.MapIndex(key), depth+1)
			}
		case reflect.String:
			if leaks(x.String(), canary) {
				t.Errorf("reached text: %q", x)
			}
		}
	}
	visit(reflect.ValueOf(newHolder(secretvalue.FromString(canary))), 0)
}
