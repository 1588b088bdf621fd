// Package certificates gives the operator's webhook server its serving
// certificate where cert-manager does not: it keeps a certificate authority (CA)
// in one Secret of the operator's namespace, signs with it, and writes its
// bundle into the two webhook configurations, so that the API server trusts what
// is served.
//
// cmd/usersecret-operator is its only caller: [New] with a client that reads
// from the API server and no cache, [Rotator.Ensure] before the manager starts,
// [Rotator.SetupWithManager], [Rotator.GetCertificate] as the webhook server's,
// and [Rotator.Check] among the readiness checks. Where certificate files are
// mounted instead, the caller leaves the package alone.
//
// It promises:
//   - every replica runs it, any may be killed anywhere, and none waits for a leader;
//   - a serving key never leaves the memory of the replica that made it;
//   - a CA signs nothing before both webhook configurations have carried it for
//     an hour, and leaves the bundle only when it has expired, so that no call
//     fails while it changes. The exceptions are the first CA, and a Secret that
//     was deleted or broken: that replaces the CA at once;
//   - where nothing changes, nothing is written.
//
// How the parts go together: a Secret's data is decoded to a trust
// (trust.go); plan says from a trust and the time what to do next (plan.go);
// the rotator does it, signs (serving.go), publishes (configuration.go) and
// sleeps until something changes (controller.go).
package certificates
