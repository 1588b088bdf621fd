package encryptionkey

import (
	"time"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/keyring"
)

// facts are what was observed about one key: its object, or nil; its material,
// or nil; and what is wrong with that.
type facts struct {
	name    string
	now     time.Time
	object  *v1alpha1.EncryptionKey
	key     *keyring.Key
	problem error
	active  bool
}

// step is what to do about a key.
type step int

const (
	// stay: everything is as it should be.
	stay step = iota
	// makeMaterial: the key is new.
	makeMaterial
	// makeObject: the material has no object.
	makeObject
	// withdraw: the removal was approved, but the object is there.
	withdraw
	// remove: delete the material.
	remove
	// rewrap: wrap all material by the first root key.
	rewrap
)

type plan struct {
	step step
	// again is when to look again; zero means at the next event.
	again time.Duration
}

// decide computes the next step from the facts alone, and from nothing that a
// process would have to remember.
func decide(f facts) plan {
	switch {
	case f.object == nil && f.key == nil:
		return plan{step: stay}
	case f.object == nil:
		return decideGone(f)
	case !f.object.DeletionTimestamp.IsZero():
		return plan{step: stay}
	case f.problem != nil:
		return plan{step: stay, again: problemRetry}
	case f.key == nil && f.object.Status.KeyID == "":
		return plan{step: makeMaterial}
	case f.key == nil:
		// It had material once. A new key of that name would hide the loss.
		return plan{step: stay, again: problemRetry}
	case f.rewrapAsked():
		return plan{step: rewrap}
	case !f.key.Removable.IsZero() && f.now.After(f.key.Removable.Add(approvalTime)):
		return plan{step: withdraw}
	case !f.key.Removable.IsZero():
		return plan{step: stay, again: f.key.Removable.Add(approvalTime).Sub(f.now) + time.Second}
	default:
		return plan{step: stay}
	}
}

// approvalTime is how long an approval stands beside an object that is still
// there: something else refused its deletion.
const approvalTime = time.Minute

// decideGone is for material without an object.
func decideGone(f facts) plan {
	if f.key.Removable.IsZero() || f.active {
		return plan{step: makeObject}
	}
	if left := f.key.Removable.Add(removalGrace).Sub(f.now); left > 0 {
		return plan{step: stay, again: left}
	}
	return plan{step: remove}
}

func (f facts) rewrapAsked() bool {
	asked := f.object.Annotations[v1alpha1.RewrapRequestedAtAnnotation]
	return asked != "" && asked != f.object.Status.RewrapRequest
}

// sooner is the shorter of two times, where 0 means never.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
