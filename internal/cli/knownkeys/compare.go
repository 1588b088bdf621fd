package knownkeys

import (
	"errors"
	"fmt"
)

// Verdict says how a key stands to the ones that are known.
type Verdict int

const (
	// First keys are the first ever seen of their namespace.
	First Verdict = iota
	// Rotated keys have an id that their namespace had not before, and the
	// owner that it always had.
	Rotated
	// Known keys were seen before, just as they are.
	Known
)

var (
	// ErrFingerprint says that the key is another than the one remembered
	// under the same id. A key id is made from the key's material, so that no
	// honest rotation does this.
	ErrFingerprint = errors.New("the sealing key is NOT the one that is remembered")
	// ErrOwner says that the namespace belongs to another owner than the one remembered.
	ErrOwner = errors.New("the namespace has ANOTHER OWNER than the one that is remembered")
)

// Compare holds seen against the known keys of the same source and namespace.
// Every one of them counts: one that agrees does not outweigh one that does
// not. Errors: ErrOwner, ErrFingerprint, with both sides of the difference.
func Compare(known []Key, seen Key) (Verdict, error) {
	verdict := First
	for _, k := range known {
		if !k.samePlace(seen) {
			continue
		}
		if err := contradiction(k, seen); err != nil {
			return First, err
		}
		if k.KeyID == seen.KeyID {
			verdict = Known
		}
		verdict = max(verdict, Rotated)
	}
	return verdict, nil
}

func contradiction(known, seen Key) error {
	switch {
	case known.Owner != seen.Owner:
		return fmt.Errorf("%w: it was %q, and is %q", ErrOwner, known.Owner, seen.Owner)
	case known.KeyID == seen.KeyID && known.Fingerprint != seen.Fingerprint:
		return fmt.Errorf("%w under key id %s: its fingerprint was %s, and is %s", ErrFingerprint, seen.KeyID, known.Fingerprint, seen.Fingerprint)
	}
	return nil
}
