package knownkeys_test

import (
	"errors"
	"testing"

	"usersecrets.dev/operator/internal/cli/knownkeys"
)

func key(change func(*knownkeys.Key)) knownkeys.Key {
	k := knownkeys.Key{
		Source: "https://cluster.example:6443", Namespace: "alice-flows", KeyID: "v1-3f9a2c1b",
		Fingerprint: "SHA256:first", Owner: "alice",
	}
	if change != nil {
		change(&k)
	}
	return k
}

func TestCompare(t *testing.T) {
	remembered := key(nil)
	rotated := key(func(k *knownkeys.Key) { k.KeyID, k.Fingerprint = "v2-0badcafe", "SHA256:second" })
	tests := map[string]struct {
		known       []knownkeys.Key
		seen        knownkeys.Key
		wantVerdict knownkeys.Verdict
		wantErr     error
	}{
		"nothing known":        {seen: remembered, wantVerdict: knownkeys.First},
		"known as it is":       {known: []knownkeys.Key{remembered}, seen: remembered, wantVerdict: knownkeys.Known},
		"another key id":       {known: []knownkeys.Key{remembered}, seen: rotated, wantVerdict: knownkeys.Rotated},
		"rotated before":       {known: []knownkeys.Key{remembered, rotated}, seen: rotated, wantVerdict: knownkeys.Known},
		"an older key id":      {known: []knownkeys.Key{remembered, rotated}, seen: remembered, wantVerdict: knownkeys.Known},
		"another namespace":    {known: []knownkeys.Key{remembered}, seen: key(func(k *knownkeys.Key) { k.Namespace = "bob" }), wantVerdict: knownkeys.First},
		"another cluster":      {known: []knownkeys.Key{remembered}, seen: key(func(k *knownkeys.Key) { k.Source = "https://other.example" }), wantVerdict: knownkeys.First},
		"another fingerprint":  {known: []knownkeys.Key{remembered}, seen: key(func(k *knownkeys.Key) { k.Fingerprint = "SHA256:other" }), wantErr: knownkeys.ErrFingerprint},
		"another owner":        {known: []knownkeys.Key{remembered}, seen: key(func(k *knownkeys.Key) { k.Owner = "bob" }), wantErr: knownkeys.ErrOwner},
		"new key id and owner": {known: []knownkeys.Key{remembered}, seen: key(func(k *knownkeys.Key) { k.KeyID, k.Owner = "v2-0badcafe", "bob" }), wantErr: knownkeys.ErrOwner},
		"one line agrees, a later one does not": {
			known: []knownkeys.Key{remembered, key(func(k *knownkeys.Key) { k.Fingerprint = "SHA256:other" })},
			seen:  remembered, wantErr: knownkeys.ErrFingerprint,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			verdict, err := knownkeys.Compare(tt.known, tt.seen)
			if !errors.Is(err, tt.wantErr) || verdict != tt.wantVerdict {
				t.Errorf("Compare: got verdict %d, error %v; want verdict %d, error %v", verdict, err, tt.wantVerdict, tt.wantErr)
			}
		})
	}
}

func TestCompareTellsBothSides(t *testing.T) {
	_, err := knownkeys.Compare([]knownkeys.Key{key(nil)}, key(func(k *knownkeys.Key) { k.Fingerprint = "SHA256:other" }))
	want := "the sealing key is NOT the one that is remembered under key id v1-3f9a2c1b: its fingerprint was SHA256:first, and is SHA256:other"
	if err == nil || err.Error() != want {
		t.Errorf("a changed fingerprint: got %v, want %s", err, want)
	}
	_, err = knownkeys.Compare([]knownkeys.Key{key(nil)}, key(func(k *knownkeys.Key) { k.Owner = "bob" }))
	want = `the namespace has ANOTHER OWNER than the one that is remembered: it was "alice", and is "bob"`
	if err == nil || err.Error() != want {
		t.Errorf("a changed owner: got %v, want %s", err, want)
	}
}
