// Package knownkeys remembers which sealing key was seen where, as ssh does
// with hosts in known_hosts: a key that changes under the same id, or a
// namespace that changes hands, is noticed before the next value is sealed for
// whoever changed it.
//
// The command line plugin calls it. [Compare] is the decision and pure; [File]
// keeps what it decides on. The package promises that a file that it cannot read
// as a whole is an error and never an empty memory.
//
// A file has one key a line: where it came from, namespace, key id, fingerprint
// and owner, with a space between; the owner is percent-encoded as in a URL's
// path (RFC 3986, section 2.1). Empty lines, and lines that start with "#", are
// for people.
package knownkeys
