package envelope

import (
	"crypto/hpke"
	"errors"
	"fmt"
	"sync"
)

// ErrSuite says that this build of the program may not use the primitives of
// section 2 in the mode that it runs in. It is no fault of any sealed value, and
// must not be taken for one.
var ErrSuite = errors.New("the us1 envelope cannot be used by this build in this mode; with GODEBUG=fips140=only, build with GOFIPS140=v1.26.0 or later")

// usable is asked before any key is made. Without it, every value would seem
// altered where the FIPS 140-3 module has no AES-GCM for HPKE, as v1.0.0 has not.
var usable = sync.OnceValue(func() error { return checkSuite(hpke.AES256GCM()) })

// checkSuite seals once. What opening needs besides, sealing needs, too.
func checkSuite(aead hpke.AEAD) error {
	key, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return fmt.Errorf("%w: making a key: %w", ErrSuite, err)
	}
	if _, err := hpke.Seal(key.PublicKey(), hpke.HKDFSHA256(), aead, nil, []byte(version)); err != nil {
		return fmt.Errorf("%w: sealing: %w", ErrSuite, err)
	}
	return nil
}
