package envelope_test

import (
	"crypto/hpke"
	"errors"
	"testing"

	"usersecrets.dev/operator/internal/envelope"
)

func TestCheckSuite(t *testing.T) {
	if err := envelope.CheckSuite(hpke.AES256GCM()); err != nil {
		t.Errorf("with AES-256-GCM: %v", err)
	}
	// An AEAD that refuses to work, as AES-GCM does in a module that lacks it.
	const want = "the us1 envelope cannot be used by this build in this mode; with GODEBUG=fips140=only, build with GOFIPS140=v1.26.0 or later: sealing: export-only instantiation"
	if err := envelope.CheckSuite(hpke.ExportOnly()); !errors.Is(err, envelope.ErrSuite) || err.Error() != want {
		t.Errorf("with an AEAD that seals nothing: %v, want %s", err, want)
	}
}

func TestNoKeyWithoutSuite(t *testing.T) {
	pk := deriveKey(t, "v1", material(0), "alice").PublicKey()
	t.Cleanup(envelope.ReplaceUsable(envelope.ErrSuite))
	if _, err := envelope.DeriveUserKey(pk.KeyID(), material(0), "alice"); !errors.Is(err, envelope.ErrSuite) {
		t.Errorf("DeriveUserKey: %v, want ErrSuite", err)
	}
	if _, err := envelope.NewPublicKey(pk.KeyID(), pk.Bytes()); !errors.Is(err, envelope.ErrSuite) {
		t.Errorf("NewPublicKey: %v, want ErrSuite", err)
	}
}
