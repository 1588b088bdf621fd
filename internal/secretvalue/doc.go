// Package secretvalue holds a user's plaintext while it passes through the
// program. Every variable, field and parameter that carries secret bytes
// outside the cryptographic core has the type [Value].
//
// Any package may use it. It promises that a Value says nothing about its
// bytes, not even their number, whatever prints, logs or marshals it, also as
// an unexported field deep inside something else. The bytes come out only
// through [Value.Bytes], so that a search for its callers finds every place
// where plaintext is read.
package secretvalue
