// Package dialing connects to places that a user named, and keeps such
// connections out of where only the operator can go: its own machine, the link,
// and the metadata services of cloud providers. Connection tests of databases use
// it, since a connection string names its own host.
//
// A [Guard] asks for a name's addresses once, checks every one of them, and
// connects to an address that it checked. A name that answers differently when it
// is asked again (DNS rebinding) gains nothing, for it is not asked again; and a
// name of which one address is refused is refused as a whole, so that it is not
// luck which address is tried.
package dialing
