package certificates

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"time"
)

const servingLife = 7 * 24 * time.Hour

// names are what a serving certificate is valid for. API servers check them
// against the Service's DNS name, or the host of the configuration's URL.
type names struct {
	hosts     []string
	addresses []net.IP
}

// serve signs a serving certificate on a fresh ECDSA P-256 key. It never outlives
// its authority, for then it would look valid and be refused.
func (a *authority) serve(n names, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the serving key: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "usersecret-operator-webhook"},
		DNSNames:              n.hosts,
		IPAddresses:           n.addresses,
		NotBefore:             now.Add(-backdate),
		NotAfter:              earliest(now.Add(servingLife), a.certificate.NotAfter),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	leaf, err := sign(template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing the serving certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// outdated says that a replica needs a new serving certificate: it has none,
// or one of another authority, or one at two thirds of its life.
func outdated(serving *tls.Certificate, issuer *authority, now time.Time) bool {
	if serving == nil || serving.Leaf.CheckSignatureFrom(issuer.certificate) != nil {
		return true
	}
	return !now.Before(renewal(serving.Leaf))
}

// earliest returns the first of the given times, leaving out those that are zero.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
