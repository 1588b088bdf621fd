package keybackup

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
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

func makeBackup() Backup {
	return Backup{
		CreatedAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Server:    "https://kubernetes.example.com:6443",
		Secrets: []Secret{
			{Name: "encryption-key-v1", Kind: "encryption-key", RootKeyID: "local-canary", Wrapped: []byte("wrapped canary"), Annotations: map[string]string{keyring.SequenceAnnotation: "1"}},
			{Name: "value-identity-key", Kind: "value-identity-key", RootKeyID: "local-canary", Wrapped: []byte{0, 1, 254, 255}},
		},
		RootKey: "canary of a root key",
	}
}

// lock is one way to encrypt a backup, and to open it.
type lock struct {
	recipients []age.Recipient
	identity   age.Identity
}

func withRecipient(t *testing.T) lock {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return lock{[]age.Recipient{identity.Recipient()}, identity}
}

func withHybridRecipient(t *testing.T) lock {
	t.Helper()
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return lock{[]age.Recipient{identity.Recipient()}, identity}
}

func withPassphrase(t *testing.T, passphrase string) lock {
	t.Helper()
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	recipient.SetWorkFactor(4) // quick; in earnest it is age's own
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return lock{[]age.Recipient{recipient}, identity}
}

func write(t *testing.T, b Backup, recipients ...age.Recipient) string {
	t.Helper()
	var file bytes.Buffer
	if err := Write(&file, b, recipients...); err != nil {
		t.Fatal(err)
	}
	return file.String()
}

func TestRoundTrip(t *testing.T) {
	first, second := withRecipient(t), withRecipient(t)
	locks := map[string]lock{
		"recipient":        first,
		"hybrid recipient": withHybridRecipient(t),
		"second of two":    {append(first.recipients, second.recipients...), second.identity},
		"passphrase":       withPassphrase(t, "correct horse battery staple"),
		"odd passphrase":   withPassphrase(t, " é\n"),
	}
	for name, l := range locks {
		t.Run(name, func(t *testing.T) {
			file := write(t, makeBackup(), l.recipients...)
			checkNothingShows(t, file)
			got, err := Read(strings.NewReader(file), l.identity)
			if err != nil {
				t.Fatal(err)
			}
			want := makeBackup()
			want.Format = "usersecrets.dev/key-backup/1"
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
		})
	}
}

// checkNothingShows: a file is text of age's, and shows nothing of what it holds.
func checkNothingShows(t *testing.T, file string) {
	t.Helper()
	if !strings.HasPrefix(file, "-----BEGIN AGE ENCRYPTED FILE-----\n") || !strings.HasSuffix(file, "-----END AGE ENCRYPTED FILE-----\n") {
		t.Errorf("the file is %q", file)
	}
	body := strings.Join(strings.Split(file, "\n")[1:], "")
	binary, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(body, "-----END AGE ENCRYPTED FILE-----"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"canary", base64.StdEncoding.EncodeToString([]byte("wrapped canary")), "encryption-key", "key-backup", "kubernetes.example.com", "secrets"} {
		if bytes.Contains(binary, []byte(text)) || strings.Contains(file, text) {
			t.Errorf("the file shows %q", text)
		}
	}
}

// What opens it is the only difference between two backups of the same.
func TestWrongIdentity(t *testing.T) {
	l, passphrase := withRecipient(t), withPassphrase(t, "right")
	tests := map[string]struct {
		recipients []age.Recipient
		identities []age.Identity
	}{
		"another identity":             {l.recipients, []age.Identity{withRecipient(t).identity}},
		"another hybrid identity":      {withHybridRecipient(t).recipients, []age.Identity{withHybridRecipient(t).identity}},
		"two others":                   {l.recipients, []age.Identity{withRecipient(t).identity, withHybridRecipient(t).identity}},
		"another passphrase":           {passphrase.recipients, []age.Identity{withPassphrase(t, "wrong").identity}},
		"a passphrase for an identity": {l.recipients, []age.Identity{passphrase.identity}},
		"an identity for a passphrase": {passphrase.recipients, []age.Identity{l.identity}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Read(strings.NewReader(write(t, makeBackup(), tt.recipients...)), tt.identities...)
			if !errors.Is(err, ErrOpen) || err.Error() != "the backup does not open with this identity or passphrase" || got != nil {
				t.Errorf("read %v, error %v; want ErrOpen", got, err)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	l := withRecipient(t)
	file := write(t, makeBackup(), l.recipients...)
	lines := strings.SplitAfter(file, "\n")
	cut := func(n int) string { return strings.Join(lines[:n], "") }
	const is, altered = "the file is no backup of key material", "the file is no backup of key material: it is cut off or was altered"
	last := len(lines) - 4 // well inside of what is encrypted
	tests := map[string]struct{ file, wantError string }{
		"nothing":                {"", is},
		"another text":           {"apiVersion: v1\nkind: Secret\n", is},
		"a backup in the clear":  {`{"format":"usersecrets.dev/key-backup/1"}`, is},
		"without its first line": {strings.Join(lines[1:], ""), is},
		"cut off in the header":  {cut(2), is},
		"cut off at the end":     {cut(len(lines) - 2), altered},
		"without its last line":  {strings.TrimSuffix(file, "-----END AGE ENCRYPTED FILE-----\n"), altered},
		"a character changed":    {cut(last) + swapCase(lines[last]) + strings.Join(lines[last+1:], ""), altered},
		"a line less":            {cut(last) + strings.Join(lines[last+1:], ""), altered},
		"more after it":          {file + "more", altered},
		"another version":        {seal(t, `{"format":"usersecrets.dev/key-backup/2","secrets":[]}`, l), is},
		"no version":             {seal(t, `{"secrets":[]}`, l), is},
		"no JSON":                {seal(t, "secrets", l), is},
		"empty":                  {seal(t, "", l), is},
		"of another shape":       {seal(t, `{"format":"usersecrets.dev/key-backup/1","secrets":{}}`, l), is},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Read(strings.NewReader(tt.file), l.identity)
			if !errors.Is(err, ErrFormat) || err.Error() != tt.wantError || got != nil {
				t.Errorf("read %v, error %v, want\n%s", got, err, tt.wantError)
			}
		})
	}
}

// swapCase changes the first letter of a line, whatever it is.
func swapCase(line string) string {
	for i, c := range line {
		if c >= 'a' && c <= 'z' {
			return line[:i] + strings.ToUpper(string(c)) + line[i+1:]
		}
	}
	return "A" + line[1:]
}

// seal encrypts any text as a backup is.
func seal(t *testing.T, text string, l lock) string {
	t.Helper()
	var file bytes.Buffer
	armored := armor.NewWriter(&file)
	encrypted, err := age.Encrypt(armored, l.recipients...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := encrypted.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(encrypted.Close(), armored.Close()); err != nil {
		t.Fatal(err)
	}
	return file.String()
}

// Nobody finds out in an emergency that a backup cannot be read.
func TestWriteRefuses(t *testing.T) {
	var file bytes.Buffer
	err := Write(&file, Backup{RootKey: strings.Repeat("a", maxSize)}, withRecipient(t).recipients...)
	want := fmt.Sprintf("the backup is too large: it would have %d bytes, more than the 16777216 that can be read again", maxSize+116)
	if err == nil || err.Error() != want || file.Len() != 0 {
		t.Errorf("wrote %d bytes, error %v, want\n%s", file.Len(), err, want)
	}
	if err := Write(&file, makeBackup()); err == nil || err.Error() != "encrypting the backup: no recipients specified" {
		t.Errorf("without recipients: error %v", err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("the disk is full") }

func TestWriteFailure(t *testing.T) {
	if err := Write(full{}, makeBackup(), withRecipient(t).recipients...); err == nil || !strings.HasSuffix(err.Error(), "the disk is full") {
		t.Errorf("error %v", err)
	}
}

// A restored Secret is the one that was backed up, but for what is not to be kept:
// an approval to remove it above all.
func TestSecretRoundTrip(t *testing.T) {
	stored := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "usersecrets-system", Name: "encryption-key-v1-3f9a2c1b", UID: "uid", ResourceVersion: "7",
			Labels: map[string]string{keyring.MaterialLabel: "encryption-key", "app.kubernetes.io/part-of": "usersecret-operator", "other": "label"},
			Annotations: map[string]string{
				keyring.NameAnnotation: "v1", keyring.SequenceAnnotation: "7", keyring.KeyIDAnnotation: "v1-3f9a2c1b",
				keyring.RemovalAnnotation: "2026-03-01T12:00:00Z", "other": "annotation",
			},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{"wrapped": []byte("wrapped"), "rootKeyID": []byte("local-1"), "other": []byte("data")},
	}
	want := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "elsewhere", Name: "encryption-key-v1-3f9a2c1b",
			Labels:      map[string]string{keyring.MaterialLabel: "encryption-key", "app.kubernetes.io/part-of": "usersecret-operator"},
			Annotations: map[string]string{keyring.NameAnnotation: "v1", keyring.SequenceAnnotation: "7", keyring.KeyIDAnnotation: "v1-3f9a2c1b"},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{"wrapped": []byte("wrapped"), "rootKeyID": []byte("local-1")},
	}
	if diff := cmp.Diff(want, FromSecret(stored).Secret("elsewhere")); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	stored.Annotations = map[string]string{"other": "annotation"}
	if got := FromSecret(stored).Secret("elsewhere").Annotations; got != nil {
		t.Errorf("annotations are %v, want none", got)
	}
}
