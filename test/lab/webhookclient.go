package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// WebhookClientCA is the path of the certificate authority, in PEM, that signed the client certificate which the
// API server shows to every webhook that asks for one. It signs nothing else: the lab's users have
// theirs from another.
func (l *Lab) WebhookClientCA() string { return filepath.Join(l.dir.state, "webhook-client-ca.crt") }

// admissionConfiguration tells both webhook plugins where their credentials are.
const admissionConfiguration = `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: MutatingAdmissionWebhook
  configuration: &webhooks
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: %q
- name: ValidatingAdmissionWebhook
  configuration: *webhooks
`

// configureWebhookClient writes what kube-apiserver needs to show a certificate, and returns its --admission-control-config-file.
func (l *Lab) configureWebhookClient() (string, error) {
	authority, key, err := makeAuthority()
	if err != nil {
		return "", fmt.Errorf("making the webhook client's authority: %w", err)
	}
	if err := os.WriteFile(l.WebhookClientCA(), encodePEM("CERTIFICATE", authority.Raw), 0o600); err != nil {
		return "", fmt.Errorf("writing the webhook client's authority: %w", err)
	}
	user, err := signClient(authority, key)
	if err != nil {
		return "", fmt.Errorf("signing the webhook client's certificate: %w", err)
	}
	// By host name; * is for whichever has none of its own.
	kubeconfig := filepath.Join(l.dir.state, "webhook-client.kubeconfig")
	if err := clientcmd.WriteToFile(clientcmdapi.Config{AuthInfos: map[string]*clientcmdapi.AuthInfo{"*": user}}, kubeconfig); err != nil {
		return "", fmt.Errorf("writing the webhook client's kubeconfig: %w", err)
	}
	path := filepath.Join(l.dir.state, "admission-control.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, admissionConfiguration, kubeconfig), 0o600); err != nil {
		return "", fmt.Errorf("writing the admission configuration: %w", err)
	}
	return path, nil
}

func makeAuthority() (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := certificate(1, "lab-webhook-client-ca")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	authority, err := x509.ParseCertificate(der)
	return authority, key, err
}

func signClient(authority *x509.Certificate, signer crypto.Signer) (*clientcmdapi.AuthInfo, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate(2, "kube-apiserver")
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &clientcmdapi.AuthInfo{
		ClientCertificateData: encodePEM("CERTIFICATE", der), ClientKeyData: encodePEM("PRIVATE KEY", private),
	}, nil
}

// certificate is valid for longer than any lab, and from a while ago, for clocks that differ.
func certificate(serial int64, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(7 * 24 * time.Hour),
	}
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
