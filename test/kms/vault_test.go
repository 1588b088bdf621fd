package kms_test

import (
	"context"
	"path/filepath"

	"github.com/hashicorp/vault/api"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const (
	// rootToken may do everything in Vault, operatorToken what the operator does:
	// encrypt and decrypt with keys that there are.
	rootToken     = "token-of-an-administrator"
	operatorToken = "token-of-the-operator"
)

// vaultServer is Vault's transit engine.
type vaultServer struct {
	*server
	admin *api.Client
}

func makeVault(servers string) *vaultServer {
	GinkgoHelper()
	v := &vaultServer{server: makeServer(filepath.Join(servers, "vault"), "/v1/sys/health")}
	v.options.Args = append(v.options.Args, "--root-token="+rootToken)
	for variable, value := range map[string]string{
		"VAULT_ADDR": "http://" + v.address, "VAULT_TOKEN": operatorToken,
		"VAULT_SERVER_URL": "", "VAULT_SERVER_TOKEN": "", "VAULT_NAMESPACE": "", "VAULT_AGENT_ADDR": "",
	} {
		GinkgoT().Setenv(variable, value)
	}
	var err error
	v.admin, err = api.NewClient(api.DefaultConfig())
	Expect(err).NotTo(HaveOccurred())
	v.admin.SetToken(rootToken)
	return v
}

func (v *vaultServer) root(ctx context.Context, name string) string {
	GinkgoHelper()
	_, err := v.admin.Logical().WriteWithContext(ctx, "transit/keys/"+name, map[string]any{"type": "aes256-gcm96"})
	Expect(err).NotTo(HaveOccurred())
	return "hashivault://" + name
}

// forbid revokes the operator's token, whatever the key.
func (v *vaultServer) forbid(string) {
	GinkgoHelper()
	Expect(v.admin.Auth().Token().RevokeTree(operatorToken)).To(Succeed())
}

func (v *vaultServer) allow(string) {
	GinkgoHelper()
	_, err := v.admin.Auth().Token().Create(&api.TokenCreateRequest{ID: operatorToken})
	Expect(err).NotTo(HaveOccurred())
}

func (v *vaultServer) destroy(name string) {
	GinkgoHelper()
	_, err := v.admin.Logical().Write("transit/keys/"+name+"/config", map[string]any{"deletion_allowed": true})
	Expect(err).NotTo(HaveOccurred())
	_, err = v.admin.Logical().Delete("transit/keys/" + name)
	Expect(err).NotTo(HaveOccurred())
}
