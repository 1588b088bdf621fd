package verify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// explain says in words what became of a connection, to stand behind the host's
// name. Texts of errors are not repeated: they hold URLs, and what servers say.
func (t *Tester) explain(ctx context.Context, err error) string {
	var network *net.OpError
	var lookup *net.DNSError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Sprintf("did not answer within %s", t.timeout)
	case ctx.Err() != nil:
		return "was not heard out: the test was stopped"
	case errors.Is(err, errProxyRefused):
		return "cannot be reached: the proxy refused to connect to it"
	case errors.As(err, &network) && network.Op == "proxyconnect":
		return "cannot be reached: the proxy does not answer"
	case errors.As(err, &lookup) && lookup.IsNotFound:
		return "cannot be reached: its name is not known"
	case errors.As(err, &lookup):
		return "cannot be reached: looking its name up failed"
	}
	if words := explainTLS(err); words != "" {
		return words
	}
	return explainConnection(err)
}

func explainTLS(err error) string {
	var (
		certificate *tls.CertificateVerificationError
		authority   x509.UnknownAuthorityError
		name        x509.HostnameError
		invalid     x509.CertificateInvalidError
		record      tls.RecordHeaderError
		alert       tls.AlertError
	)
	switch {
	case errors.As(err, &authority):
		return "cannot be trusted: its certificate is signed by an unknown authority"
	case errors.As(err, &name):
		return "cannot be trusted: its certificate is for another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "cannot be trusted: its certificate is not valid at this time"
	case errors.As(err, &certificate):
		return "cannot be trusted: its certificate does not verify"
	case errors.As(err, &record):
		return "cannot be reached: it does not speak TLS"
	case errors.As(err, &alert):
		return "cannot be reached: it refused the TLS connection"
	default:
		return ""
	}
}

func explainConnection(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused the connection"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "cannot be reached: there is no route to it"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed the connection before it had answered"
	default:
		return "gave no answer that can be read"
	}
}
