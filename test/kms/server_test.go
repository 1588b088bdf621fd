package kms_test

import (
	"context"
	"net"
	"path/filepath"
	"strconv"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"usersecrets.dev/operator/test/lab"
)

// server is a KMS that keeps its port and its keys from one run to the next.
type server struct {
	options lab.ServerOptions
	address string
	running *lab.Server
}

func makeServer(binary, readyPath string) *server {
	GinkgoHelper()
	port, err := lab.FreePort()
	Expect(err).NotTo(HaveOccurred())
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	dir := GinkgoT().TempDir()
	return &server{address: address, options: lab.ServerOptions{
		Binary:   binary,
		Args:     []string{"--listen=" + address, "--data=" + filepath.Join(dir, "data")},
		ReadyURL: "http://" + address + readyPath,
		LogPath:  filepath.Join(dir, "log"),
	}}
}

// start does nothing where the server runs already.
func (s *server) start(ctx context.Context) {
	GinkgoHelper()
	if s.running != nil {
		return
	}
	var err error
	s.running, err = lab.StartServer(ctx, s.options)
	Expect(err).NotTo(HaveOccurred())
}

func (s *server) stop() {
	GinkgoHelper()
	Expect(s.running.Stop()).To(Succeed())
	s.running = nil
}

// service is a KMS as its administrator sees it.
type service interface {
	// root makes a key and is the root key in it.
	root(ctx context.Context, name string) string
	start(ctx context.Context)
	stop()
	// forbid takes the operator's access away, and allow gives it back.
	forbid(name string)
	allow(name string)
	// destroy makes a key useless for good.
	destroy(name string)
}
