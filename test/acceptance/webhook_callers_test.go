package acceptance_test

import (
	"context"
	"crypto/tls"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"usersecrets.dev/operator/test/rig"
)

// Whoever the webhooks believe to be the API server may say who asks. Were that
// anybody, a guess of alice's value sent as alice's would be told from a right one, for
// which the ciphertext stays as it was, and the records would name her.
var _ = Describe("who calls the webhooks past the API server", Ordered, func() {
	var bob *rig.Person

	BeforeAll(func(ctx SpecContext) { bob = newUser(ctx, "bob") })

	It("is refused without a client certificate", func(ctx SpecContext) {
		denied(callWebhooks(ctx, tls.Certificate{}), "remote error: tls: certificate required")
	})

	It("is refused with bob's own, which is good for the API server", func(ctx SpecContext) {
		his, err := tls.X509KeyPair(bob.Config.CertData, bob.Config.KeyData)
		Expect(err).NotTo(HaveOccurred())
		denied(callWebhooks(ctx, his), "remote error: tls: unknown certificate authority")
	})
})

// callWebhooks is how a connection to the operator's webhooks ends, with this client
// certificate; one without content is none. In TLS 1.3 the caller's handshake is
// over before the server has looked at its certificate (RFC 8446, section 4.4.2.4), so
// the refusal is what it reads next. Who is let in reads nothing before it asks, until the
// time is over.
func callWebhooks(ctx context.Context, shown tls.Certificate) error {
	GinkgoHelper()
	dialer := &tls.Dialer{Config: &tls.Config{
		InsecureSkipVerify:   true, // it is the caller who is on trial
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil },
	}}
	connection, err := dialer.DialContext(ctx, "tcp", product.WebhookAddress())
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = connection.Close() }()
	Expect(connection.SetReadDeadline(time.Now().Add(soon))).To(Succeed())
	_, err = connection.Read(make([]byte, 1))
	return err
}
