package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"usersecrets.dev/operator/internal/certificates"
	usersecretwebhook "usersecrets.dev/operator/webhook"
)

// serviceName is the Service that the shipped webhook configurations name.
const serviceName = "usersecret-operator-webhook"

// webhookServer serves with a certificate from memory, or from the files that
// cert-manager mounts, and where so told to API servers alone.
func (p *parts) webhookServer() (webhook.Server, error) {
	o := p.options
	options := webhook.Options{Host: o.webhookBind, Port: o.webhookPort, CertDir: o.certDir}
	options.TLSOpts = append(options.TLSOpts, func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 })
	if o.webhookClientCA != "" {
		callers, err := callersBy(o.webhookClientCA)
		if err != nil {
			return nil, err
		}
		options.TLSOpts = append(options.TLSOpts, callers)
	}
	if o.certDir != "" {
		return webhook.NewServer(options), nil
	}
	rotator, err := certificates.New(p.direct, certificateOptions(o))
	if err != nil {
		return nil, err
	}
	p.rotator = rotator
	options.TLSOpts = append(options.TLSOpts, func(c *tls.Config) { c.GetCertificate = rotator.GetCertificate })
	return webhook.NewServer(options), nil
}

func certificateOptions(o *options) certificates.Options {
	out := certificates.Options{Namespace: o.namespace, Service: serviceName}
	for _, host := range o.webhookHosts {
		if ip := net.ParseIP(host); ip != nil {
			out.IPs = append(out.IPs, ip)
			continue
		}
		out.Hosts = append(out.Hosts, host)
	}
	return out
}

func (p *parts) setupWebhooks(ctx context.Context) error {
	usersecretwebhook.Register(p.manager.GetWebhookServer(), usersecretwebhook.Options{
		Reader: p.manager.GetCache(), Client: p.direct, Keys: p.keys, Owners: p.owners,
		Audit: p.audit, Clock: p.clock, Operator: p.operator, Limits: p.limits(),
	})
	if p.rotator == nil {
		return nil
	}
	if err := p.rotator.Ensure(ctx); err != nil {
		return fmt.Errorf("preparing the webhook certificate: %w", err)
	}
	if err := p.rotator.SetupWithManager(p.manager); err != nil {
		return err
	}
	return p.manager.AddReadyzCheck("webhook-certificate", p.rotator.Check)
}
