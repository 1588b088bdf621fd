//go:build goexperiment.runtimesecret

package erasing

import "runtime/secret"

// Enabled says whether this build erases.
const Enabled = true

// Do calls f and erases what it used. f must not start goroutines.
func Do(f func()) { secret.Do(f) }
