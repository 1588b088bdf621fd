//go:build scratch

package cli

import (
	"os"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

func TestScratch(t *testing.T) {
	e := &envtest.Environment{CRDDirectoryPaths: []string{"../../config/crd/bases"}, BinaryAssetsDirectory: "../../bin/controlplane/" + os.Getenv("ASSETS")}
	if _, err := e.Start(); err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	admin, err := e.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, u *envtest.AuthenticatedUser) {
		b, err := u.KubeConfig()
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile("/tmp/f/"+name+".kubeconfig", b, 0o600)
	}
	write("admin", admin)
	for _, n := range []string{"alice", "bob", "onboarder"} {
		u, err := e.AddUser(envtest.User{Name: n}, nil)
		if err != nil {
			t.Fatal(err)
		}
		write(n, u)
	}
	os.WriteFile("/tmp/f/up", nil, 0o600)
	for range 900 {
		if _, err := os.Stat("/tmp/f/stop"); err == nil {
			return
		}
		time.Sleep(time.Second)
	}
}
