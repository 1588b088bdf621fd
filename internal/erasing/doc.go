// Package erasing runs code that works on key bytes so that the registers, stack
// and heap that it used are erased afterwards, where the build can do that.
//
// Go's runtime/secret is an experiment: built with GOEXPERIMENT=runtimesecret, Do
// is its Do; in any other build Do just calls the function, and what erases then
// is the clear beside each buffer.
package erasing
