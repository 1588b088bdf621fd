// Package inject is the pure part of handing secrets to a pod: what a pod asks
// for, what admission writes into it, and where a pod can name a Secret.
//
// The pod webhook calls [ParseRequest], then [Mutate]; the projection
// controller calls [ParseRequest] again on the admitted pod, and [CheckKeys],
// [CheckTotal] and [EnvValue] on what it found in the catalogue and the vault.
// Tests and policies are measured against [SecretNames].
//
// It promises: no client, no clock, and no change to its input but by Mutate,
// which changes all or nothing. Every refusal says what is wrong and how to put
// it right, and can be told apart by errors.Is. No refusal repeats text that
// failed to parse: people paste values where names and keys belong, and the text
// of a refusal ends up in Events and logs.
package inject
