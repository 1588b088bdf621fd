package lab

import (
	"fmt"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Kubeconfig writes cfg to a new kubeconfig file in the lab's folder, which Stop removes. namespace is
// the context's, 'default' where empty.
func (l *Lab) Kubeconfig(cfg *rest.Config, namespace string) (string, error) {
	file, err := os.CreateTemp(l.dir.state, "*.kubeconfig") // 0600
	if err != nil {
		return "", fmt.Errorf("making a kubeconfig: %w", err)
	}
	if err := file.Close(); err != nil {
		return "", fmt.Errorf("making a kubeconfig: %w", err)
	}
	return file.Name(), WriteKubeconfig(file.Name(), cfg, namespace)
}

// WriteKubeconfig writes cfg's server, certificate authority and credentials to path, readable by its owner
// alone (0600). It knows client certificates and bearer tokens, in memory, which is what a lab hands out.
func WriteKubeconfig(path string, cfg *rest.Config, namespace string) error {
	const name = "lab"
	content, err := clientcmd.Write(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{name: {
			Server: cfg.Host, CertificateAuthorityData: cfg.CAData,
		}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{name: {
			ClientCertificateData: cfg.CertData, ClientKeyData: cfg.KeyData, Token: cfg.BearerToken,
		}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name, Namespace: namespace}},
		CurrentContext: name,
	})
	if err != nil {
		return fmt.Errorf("encoding a kubeconfig: %w", err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return fmt.Errorf("writing a kubeconfig: %w", err)
	}
	// WriteFile leaves the mode of a file that was there already.
	if err := os.Chmod(path, 0o600); err != nil {
		return fmt.Errorf("protecting a kubeconfig: %w", err)
	}
	return nil
}
