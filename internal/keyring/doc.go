// Package keyring holds the vault's keys while the operator runs: the versions
// of the master key, unwrapped once by the root key, and the per-user keys
// derived from them.
//
// Admission and controllers ask it to seal, to open and to identify values; they
// never see key bytes. Material lies wrapped in Secrets of the operator's
// namespace and is only ever created there, never overwritten. A key id that is
// not known yet is looked up live once before it is refused, so that a replica
// that missed a rotation heals itself.
package keyring
