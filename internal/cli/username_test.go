package cli

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"usersecrets.dev/operator/internal/envelope"
)

func TestNamespaceOf(t *testing.T) {
	tests := map[string]struct {
		user    string
		want    string
		wantErr error
	}{
		"as it is":              {user: "alice", want: "alice"},
		"an address":            {user: "Alice.B@Example.com", want: "alice-b-example-com"},
		"a service account":     {user: "system:serviceaccount:ci:builder", want: "system-serviceaccount-ci-builder"},
		"digits":                {user: "42", want: "42"},
		"ends with none":        {user: "_alice_", want: "alice"},
		"other letters":         {user: "José", want: "jos"},
		"several in a row":      {user: "a@@b", want: "a--b"},
		"63 characters":         {user: strings.Repeat("x", 63), want: strings.Repeat("x", 63)},
		"64 characters":         {user: strings.Repeat("x", 64), want: strings.Repeat("x", 63)},
		"cut before a hyphen":   {user: strings.Repeat("x", 62) + "@x", want: strings.Repeat("x", 62)},
		"nothing that is left":  {user: "@@@", wantErr: errDerived},
		"no letter of a name's": {user: "алиса", wantErr: errDerived},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := namespaceOf(tt.user)
			if got != tt.want || !errors.Is(err, tt.wantErr) {
				t.Errorf("namespaceOf(%q): got %q, error %v; want %q, error %v", tt.user, got, err, tt.want, tt.wantErr)
			}
		})
	}
}

func TestCheckUsername(t *testing.T) {
	tests := map[string]struct {
		user string
		want error
	}{
		"a name":                   {user: "alice"},
		"an address":               {user: "alice@example.com"},
		"spaces within":            {user: "Alice B"},
		"a service account":        {user: "system:serviceaccount:ci:builder"},
		"the longest":              {user: strings.Repeat("x", envelope.MaxOwnerLength)},
		"too long":                 {user: strings.Repeat("x", envelope.MaxOwnerLength+1), want: errUsername},
		"empty":                    {user: "", want: errUsername},
		"space before":             {user: " alice", want: errUsername},
		"newline after":            {user: "alice\n", want: errUsername},
		"control character":        {user: "al\x1bice", want: errUsername},
		"no UTF-8":                 {user: "al\xffice", want: errUsername},
		"nobody":                   {user: "system:anonymous", want: errNobody},
		"account without name":     {user: "system:serviceaccount:ci", want: errServiceAccount},
		"account of no namespace":  {user: "system:serviceaccount::builder", want: errServiceAccount},
		"account of two names":     {user: "system:serviceaccount:ci:builder:x", want: errServiceAccount},
		"account with an odd name": {user: "system:serviceaccount:ci:Builder", want: errServiceAccount},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := checkUsername(tt.user); !errors.Is(err, tt.want) {
				t.Errorf("checkUsername(%q): got %v, want %v", tt.user, err, tt.want)
			}
		})
	}
}

func TestSubjectOf(t *testing.T) {
	tests := map[string]rbacv1.Subject{
		"alice":                            {Kind: "User", APIGroup: "rbac.authorization.k8s.io", Name: "alice"},
		"system:serviceaccount:ci:builder": {Kind: "ServiceAccount", Namespace: "ci", Name: "builder"},
	}
	for user, want := range tests {
		got, err := subjectOf(user)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("the subject of %s: error %v (-want +got):\n%s", user, err, diff)
		}
	}
}
