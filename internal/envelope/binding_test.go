package envelope_test

import (
	"strings"
	"testing"

	"usersecrets.dev/operator/internal/envelope"
)

func TestBindingValidate(t *testing.T) {
	const refused = "nothing can be sealed for this place: its "
	tests := map[string]struct {
		edit    func(*envelope.Binding)
		wantErr string // empty where it is valid
	}{
		"usual":                {edit: func(*envelope.Binding) {}},
		"longest":              {edit: func(b *envelope.Binding) { *b = longest() }},
		"owner beyond ASCII":   {edit: func(b *envelope.Binding) { b.Owner = "oidc:alice@bücher.example" }},
		"owner of white space": {edit: func(b *envelope.Binding) { b.Owner = " \n" }},

		"no owner":        {edit: func(b *envelope.Binding) { b.Owner = "" }, wantErr: "owner is empty, and must be known before sealing"},
		"long owner":      {edit: func(b *envelope.Binding) { b.Owner = longest().Owner + "o" }, wantErr: "owner has 513 bytes, choose one of at most 512"},
		"owner no UTF-8":  {edit: func(b *envelope.Binding) { b.Owner = "alice\xff" }, wantErr: "owner is not valid UTF-8, choose one that is"},
		"NUL in owner":    {edit: func(b *envelope.Binding) { b.Owner = "alice\x00bob" }, wantErr: "owner has a NUL character in it, choose one without"},
		"no namespace":    {edit: func(b *envelope.Binding) { b.Namespace = "" }, wantErr: "namespace is empty, and must be known before sealing"},
		"long namespace":  {edit: func(b *envelope.Binding) { b.Namespace = longest().Namespace + "s" }, wantErr: "namespace has 254 bytes, choose one of at most 253"},
		"namespace UTF-8": {edit: func(b *envelope.Binding) { b.Namespace = "\xc0" }, wantErr: "namespace is not valid UTF-8, choose one that is"},
		"no name":         {edit: func(b *envelope.Binding) { b.Name = "" }, wantErr: "name is empty, and must be known before sealing"},
		"long name":       {edit: func(b *envelope.Binding) { b.Name = longest().Name + "n" }, wantErr: "name has 254 bytes, choose one of at most 253"},
		"NUL in name":     {edit: func(b *envelope.Binding) { b.Name = "\x00" }, wantErr: "name has a NUL character in it, choose one without"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := place
			tt.edit(&b)
			err := b.Validate()
			if tt.wantErr == "" {
				if err != nil {
					t.Fatalf("Validate() = %v", err)
				}
				return
			}
			if err == nil || err.Error() != refused+tt.wantErr {
				t.Errorf("Validate() = %v, want %s", err, refused+tt.wantErr)
			}
			checkInvalidEverywhere(t, b)
		})
	}
}

func longest() envelope.Binding {
	return envelope.Binding{
		Owner:     strings.Repeat("o", envelope.MaxOwnerLength),
		Namespace: strings.Repeat("s", envelope.MaxNamespaceLength),
		Name:      strings.Repeat("n", envelope.MaxNameLength),
	}
}
