package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"

	"sigs.k8s.io/controller-runtime/pkg/healthz"
)

// callersBy has the webhook server answer those alone whose client certificate is
// signed by an authority in file. What a request says of its user is the API
// server's word; without this, it is anybody's who reaches the port. The file is read
// once.
func callersBy(file string) (func(*tls.Config), error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading --webhook-client-ca-file: %w", err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("reading --webhook-client-ca-file: %s holds no certificate: give it those that sign the API servers' client certificates, in PEM", file)
	}
	return func(c *tls.Config) {
		c.ClientCAs, c.ClientAuth = authorities, tls.RequireAndVerifyClientCert
	}, nil
}

// once passes for good after check has passed. The check of the webhook server
// dials it, without a client certificate, and so each time has it log a failed handshake;
// a server that ends takes the process along.
func once(check healthz.Checker) healthz.Checker {
	var passed atomic.Bool
	return func(request *http.Request) error {
		if passed.Load() {
			return nil
		}
		err := check(request)
		if err == nil {
			passed.Store(true)
		}
		return err
	}
}
