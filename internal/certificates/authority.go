package certificates

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

const (
	authorityName = "usersecret-operator-webhook-ca"
	authorityLife = 365 * 24 * time.Hour

	// backdate is how far behind a reader's clock may be: a certificate is valid
	// from this long before it was made.
	backdate = time.Hour

	pemCertificate = "CERTIFICATE"
	pemPrivateKey  = "PRIVATE KEY" // PKCS #8, RFC 5958
)

var errNotAuthority = errors.New("the certificate is not one of an authority that signs certificates")

// authority is a CA certificate with its key.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// newAuthority makes a self-signed CA on a fresh ECDSA P-256 key.
func newAuthority(now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the CA's key: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: authorityName},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // it signs serving certificates, no further CA
	}
	certificate, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("signing the CA's certificate: %w", err)
	}
	return &authority{certificate: certificate, key: key}, nil
}

// parseAuthority reads a CA back from PEM. Its errors repeat nothing of the key.
func parseAuthority(certificatePEM, keyPEM []byte) (*authority, error) {
	pair, err := tls.X509KeyPair(certificatePEM, keyPEM)
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !signsCertificates(pair.Leaf) {
		return nil, errNotAuthority
	}
	return &authority{certificate: pair.Leaf, key: key}, nil
}

func (a *authority) encodeKey() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, fmt.Errorf("encoding the CA's key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivateKey, Bytes: der}), nil
}

// live says that there is an authority and that it has not expired. NotBefore is
// left out on purpose: a replica whose clock is slow would take a new CA for
// unusable and replace it.
func (a *authority) live(now time.Time) bool {
	return a != nil && !expired(a.certificate, now)
}

func signsCertificates(c *x509.Certificate) bool {
	return c.BasicConstraintsValid && c.IsCA && c.KeyUsage&x509.KeyUsageCertSign != 0
}

func expired(c *x509.Certificate, now time.Time) bool { return !now.Before(c.NotAfter) }

// renewal is when a certificate is to be replaced: at two thirds of its life.
func renewal(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 3 * 2)
}

// sign makes a certificate; without a serial number in the template x509 draws one at random.
func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func encodeCertificate(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: c.Raw})
}
