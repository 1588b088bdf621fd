package certificates

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Keys of the CA's Secret. The first three have the meaning that they have in
// Secrets of type kubernetes.io/tls, here with a CA as the certificate.
const (
	bundleKey             = "ca.crt"
	currentCertificateKey = corev1.TLSCertKey
	currentPrivateKeyKey  = corev1.TLSPrivateKeyKey
	// While the CA changes: the one to come, and since when (RFC 3339, UTC) every
	// webhook configuration has carried it.
	nextCertificateKey = "next.crt"
	nextPrivateKeyKey  = "next.key"
	nextPublishedKey   = "next.published"
)

// trust is what the Secret says: who signs, who will, and whom API servers are to
// believe. The zero value is an absent Secret.
type trust struct {
	current *authority // signs; nil where none can be read
	next    *authority // will sign; nil while no change is under way
	// published is since when all configurations carry next; zero: not yet.
	published time.Time
	// previous are the CAs that signed before. Replicas may still serve what
	// they signed, and they stay in the bundle until they expire.
	previous []*x509.Certificate
	// flaw is what could not be read, and is left out above; nil where the data is whole.
	flaw error
}

// decode reads a Secret's data. What cannot be read is left out and noted as the flaw:
// a CA can be made again, so a damaged one must not stop the operator.
func decode(data map[string][]byte) trust {
	var t trust
	var flaws []error
	note := func(key string, err error) {
		if err != nil {
			flaws = append(flaws, fmt.Errorf("reading %s: %w", key, err))
		}
	}
	var err error
	t.current, err = parseAuthority(data[currentCertificateKey], data[currentPrivateKeyKey])
	note(currentCertificateKey, err)
	if present(data, nextCertificateKey, nextPrivateKeyKey) {
		t.next, err = parseAuthority(data[nextCertificateKey], data[nextPrivateKeyKey])
		note(nextCertificateKey, err)
	}
	if present(data, nextPublishedKey) {
		t.published, err = time.Parse(time.RFC3339, string(data[nextPublishedKey]))
		note(nextPublishedKey, err)
	}
	certificates, err := decodeBundle(data[bundleKey])
	note(bundleKey, err)
	t.previous = slices.DeleteFunc(certificates, t.signs)
	if len(flaws) == 0 && !bytes.Equal(t.bundle(), data[bundleKey]) {
		note(bundleKey, errors.New("it is not the current CA, the next and the previous ones in this order"))
	}
	t.flaw = errors.Join(flaws...)
	return t
}

// encode is the inverse of decode.
func (t trust) encode() (map[string][]byte, error) {
	key, err := t.current.encodeKey()
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{
		bundleKey:             t.bundle(),
		currentCertificateKey: encodeCertificate(t.current.certificate),
		currentPrivateKeyKey:  key,
	}
	if t.next == nil {
		return data, nil
	}
	if data[nextPrivateKeyKey], err = t.next.encodeKey(); err != nil {
		return nil, err
	}
	data[nextCertificateKey] = encodeCertificate(t.next.certificate)
	if !t.published.IsZero() {
		data[nextPublishedKey] = []byte(t.published.UTC().Format(time.RFC3339))
	}
	return data, nil
}

// certificates are all whom API servers are to believe, the signing one first.
func (t trust) certificates() []*x509.Certificate {
	var all []*x509.Certificate
	for _, a := range []*authority{t.current, t.next} {
		if a != nil {
			all = append(all, a.certificate)
		}
	}
	return append(all, t.previous...)
}

// bundle is the PEM text of certificates: a configuration's caBundle.
func (t trust) bundle() []byte {
	var text []byte
	for _, c := range t.certificates() {
		text = append(text, encodeCertificate(c)...)
	}
	return text
}

// signs says that c is the current CA or the next.
func (t trust) signs(c *x509.Certificate) bool {
	return (t.current != nil && t.current.certificate.Equal(c)) ||
		(t.next != nil && t.next.certificate.Equal(c))
}

// decodeBundle returns the CAs in PEM text, and an error besides where some of it is anything else.
func decodeBundle(text []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	var flaws []error
	for rest := text; len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			flaws = append(flaws, errors.New("text that is not PEM"))
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		switch {
		case err != nil:
			flaws = append(flaws, err)
		case !signsCertificates(c):
			flaws = append(flaws, errNotAuthority)
		case !slices.ContainsFunc(certificates, c.Equal):
			certificates = append(certificates, c)
		}
	}
	return certificates, errors.Join(flaws...)
}

func present(data map[string][]byte, keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { return len(data[key]) > 0 })
}
