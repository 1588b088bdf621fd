package keyname

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
)

func TestValid(t *testing.T) {
	tests := map[string]bool{
		"v1": true, "1": true, "a": true, "2026-03": true, "a--b": true, strings.Repeat("v", 40): true,
		"": false, "-v1": false, "v1-": false, "-": false, "V1": false, "v.1": false, "v_1": false, "v 1": false, "v1\n": false, "é": false, strings.Repeat("v", 41): false,
	}
	for name, want := range tests {
		if got := Valid(name); got != want {
			t.Errorf("Valid(%q) = %t, want %t", name, got, want)
		}
		// A name is valid where a key id can start with it, and nowhere else.
		if _, err := envelope.ParseKeyID(name + "-3f9a2c1b"); (err == nil) != want {
			t.Errorf("a key id with the name %q: %v, want valid: %t", name, err, want)
		}
	}
}

func TestNext(t *testing.T) {
	tests := map[string]struct {
		names []string
		want  string
	}{
		"none":                  {want: "v1"},
		"the first":             {names: []string{"v1"}, want: "v2"},
		"in any order":          {names: []string{"v2", "v10", "v9"}, want: "v11"},
		"after a gap":           {names: []string{"v7"}, want: "v8"},
		"names of people's own": {names: []string{"spring", "v1"}, want: "v3"},
		"by people alone":       {names: []string{"spring", "summer"}, want: "v3"},
		"nearly numbers":        {names: []string{"v1a", "version2", "v-3", "4"}, want: "v5"},
		"a restored key":        {names: []string{"v1", "v1-3f9a2c1b"}, want: "v3"},
		"a number beyond all":   {names: []string{"v1", "v9223372036854775807", "v99999999999999999999"}, want: "v4"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var objects []v1alpha1.EncryptionKey
			taken := map[string]bool{}
			for _, name := range tt.names {
				objects = append(objects, v1alpha1.EncryptionKey{ObjectMeta: metav1.ObjectMeta{Name: name}})
				taken[name] = true
			}
			if got := Next(objects); got != tt.want || !Valid(got) || taken[got] {
				t.Errorf("Next = %q, want %q", got, tt.want)
			}
		})
	}
}
