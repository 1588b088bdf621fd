package secretvalue_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"usersecrets.dev/operator/internal/secretvalue"
)

func TestValueHoldsItsBytes(t *testing.T) {
	tests := map[string]struct {
		value     secretvalue.Value
		wantBytes []byte
	}{
		"zero value":     {value: secretvalue.Value{}, wantBytes: nil},
		"empty bytes":    {value: secretvalue.New([]byte{}), wantBytes: []byte{}},
		"nil bytes":      {value: secretvalue.New(nil), wantBytes: nil},
		"bytes, no text": {value: secretvalue.New([]byte{0, 0xff, 10}), wantBytes: []byte{0, 0xff, 10}},
		"string":         {value: secretvalue.FromString("correct horse"), wantBytes: []byte("correct horse")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.wantBytes, tt.value.Bytes()); diff != "" {
				t.Errorf("Bytes() (-want +got):\n%s", diff)
			}
			if got, want := tt.value.Len(), len(tt.wantBytes); got != want {
				t.Errorf("Len() = %d, want %d", got, want)
			}
		})
	}
}

func TestNewCopies(t *testing.T) {
	b := []byte("correct horse")
	v := secretvalue.New(b)
	clear(b)
	if got := string(v.Bytes()); got != "correct horse" {
		t.Errorf("after clearing the caller's bytes the value is %q", got)
	}
}

func TestEqual(t *testing.T) {
	a := secretvalue.FromString("a")
	tests := map[string]struct {
		x, y      secretvalue.Value
		wantEqual bool
	}{
		"same bytes":             {x: a, y: secretvalue.FromString("a"), wantEqual: true},
		"copy":                   {x: a, y: a, wantEqual: true},
		"other bytes":            {x: a, y: secretvalue.FromString("b")},
		"longer":                 {x: a, y: secretvalue.FromString("aa")},
		"zero value and empty":   {x: secretvalue.Value{}, y: secretvalue.FromString(""), wantEqual: true},
		"zero value and a value": {x: secretvalue.Value{}, y: a},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.x.Equal(tt.y); got != tt.wantEqual {
				t.Errorf("Equal = %t, want %t", got, tt.wantEqual)
			}
			if got := tt.y.Equal(tt.x); got != tt.wantEqual {
				t.Errorf("Equal, turned round = %t, want %t", got, tt.wantEqual)
			}
		})
	}
}

func TestZero(t *testing.T) {
	v := secretvalue.FromString("correct horse")
	kept, memory := v, v.Bytes()
	v.Zero()
	if diff := cmp.Diff(make([]byte, len(memory)), memory); diff != "" {
		t.Errorf("memory after Zero (-want +got):\n%s", diff)
	}
	if v.Len() != 0 || kept.Len() != 0 {
		t.Errorf("after Zero the value has %d bytes and its copy %d, want none", v.Len(), kept.Len())
	}
	v.Zero()
	secretvalue.Value{}.Zero()
}
