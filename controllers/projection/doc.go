// Package projection issues to each workflow pod the Secret that it waits for,
// keeps it current, and takes it away.
//
// The order of writes is the point: a use is recorded in the status of every
// UserSecret that it draws on, and only then is the Secret created. The status
// write carries the pod's UID and so is the ledger that tells, after a crash,
// which pods were counted.
//
// The controller acts on pods that carry the injected label. It never gets,
// lists or watches Secrets: what it knows of one comes back from its own writes,
// or from the dry run of a deletion, which changes nothing.
package projection
