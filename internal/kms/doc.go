// Package kms makes root keys of keys that lie in a key management service: AWS
// KMS, Google Cloud KMS, Azure Key Vault, and the transit engine of Vault and
// OpenBao. It names them by URL, as gocloud.dev/secrets does.
//
// What it adds is the difference that decides whether the vault waits or gives
// up: a KMS that is away, throttles or denies says nothing about the key material
// (keyring.ErrRootUnavailable); one that answers that a ciphertext is not its own
// says that the material is not what it was.
package kms
