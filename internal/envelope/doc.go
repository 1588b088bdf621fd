// Package envelope implements us1, the format in which a user's secret value is
// stored: HPKE (RFC 9180) with MLKEM768-X25519, HKDF-SHA256 and AES-256-GCM,
// bound to one owner, namespace, name and key. docs/spec/envelope.md is the
// format's specification; comments here that name a section mean that page.
//
// Sealing needs a [PublicKey] alone and works offline; the command line plugin,
// the webhook and the operator all seal with [PublicKey.Seal]. Opening needs a
// [UserKey], which only the operator can derive.
//
// The package is pure: it reads no files, keeps no state and knows nothing of
// Kubernetes. It promises that
//   - a sealed value opens only for the owner, namespace, name and key that it
//     was sealed for, and only unaltered to the last bit;
//   - a text has one form: whatever [Parse] accepts, [Sealed.String] gives back
//     character by character;
//   - every refusal is one of the sentinel errors, says what to do, and repeats
//     nothing of the text, the value or a key.
package envelope
