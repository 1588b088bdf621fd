package keybackup

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/internal/keyring"
)

func newIdentity(t *testing.T) *age.X25519Identity {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

// encrypted is any text as a backup would be.
func encrypted(t *testing.T, text string, to age.Recipient) string {
	t.Helper()
	var out bytes.Buffer
	armored := armor.NewWriter(&out)
	w, err := age.Encrypt(armored, to)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(w, text)
	if err := errors.Join(err, w.Close(), armored.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestASecretComesBack(t *testing.T) {
	identity := newIdentity(t)
	there := keyring.NewMaterialSecret("usersecrets-system", "encryption-key", "encryption-key-v1", []byte{0, 1, 0xff}, "local-0011223344556677")
	there.Annotations = map[string]string{
		keyring.SequenceAnnotation: "1", keyring.KeyIDAnnotation: "v1-00000001", keyring.NameAnnotation: "v1",
		keyring.RemovalAnnotation: "2026-06-01T12:00:00Z", "example.com/other": "x",
	}
	before := Backup{CreatedAt: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC), Server: "https://cluster.example:6443", Secrets: []Secret{FromSecret(there)}, RootKey: "root"}
	var text bytes.Buffer
	if err := Write(&text, before, identity.Recipient()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text.String(), "encryption-key") || !strings.HasPrefix(text.String(), "-----BEGIN AGE ENCRYPTED FILE-----\n") {
		t.Error("the file is no armored age file")
	}
	after, err := Read(&text, identity)
	if err != nil {
		t.Fatal(err)
	}
	before.Format = Format
	if diff := cmp.Diff(&before, after); diff != "" {
		t.Errorf("the backup (-written +read):\n%s", diff)
	}
	// A removal that was approved is no part of a backup, and restoring ends it.
	want := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "elsewhere", Name: "encryption-key-v1", Labels: there.Labels,
			Annotations: map[string]string{keyring.SequenceAnnotation: "1", keyring.KeyIDAnnotation: "v1-00000001", keyring.NameAnnotation: "v1"},
		},
		Type: there.Type, Data: there.Data,
	}
	if diff := cmp.Diff(want, after.Secrets[0].Secret("elsewhere")); diff != "" {
		t.Errorf("the Secret (-want +got):\n%s", diff)
	}
}

func TestReadRefuses(t *testing.T) {
	identity := newIdentity(t)
	right := encrypted(t, `{"format":"`+Format+`"}`, identity.Recipient())
	for name, tt := range map[string]struct {
		text string
		want error
	}{
		"nothing":          {"", ErrFormat},
		"no age file":      {"format: " + Format, ErrFormat},
		"another's":        {encrypted(t, `{}`, newIdentity(t).Recipient()), ErrOpen},
		"no JSON":          {encrypted(t, `format`, identity.Recipient()), ErrFormat},
		"another version":  {encrypted(t, `{"format":"usersecrets.dev/key-backup/2"}`, identity.Recipient()), ErrFormat},
		"no format":        {encrypted(t, `{"secrets":[]}`, identity.Recipient()), ErrFormat},
		"one that is cut":  {right[:len(right)-60], ErrFormat},
		"one too large":    {encrypted(t, `{"format":"`+Format+`","rootKey":"`+strings.Repeat("x", maxSize)+`"}`, identity.Recipient()), ErrFormat},
		"one byte altered": {right[:300] + string(right[300]^1) + right[301:], ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Read(strings.NewReader(tt.text), identity); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	if _, err := Read(strings.NewReader(right), identity); err != nil {
		t.Errorf("the right one: %v", err)
	}
}
