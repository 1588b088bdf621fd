package lab

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
)

// ServerOptions say how to run a server that is no part of the control plane.
type ServerOptions struct {
	// Binary is the path of the executable.
	Binary string
	Args   []string
	// ReadyURL is where it answers 200 once ready.
	ReadyURL string
	// LogPath gets its output, appended.
	LogPath string
}

// Server is a program that the product calls, such as a KMS. It sees nothing of
// the caller's environment but PATH, and ends with the caller.
type Server struct {
	process *process
}

// StartServer returns when the server is ready. Where it exits first, or is not
// ready at ctx's deadline (a minute where ctx has none), it is stopped, and the
// error holds the end of its log.
func StartServer(ctx context.Context, options ServerOptions) (*Server, error) {
	cmd := exec.Command(options.Binary, options.Args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	p, err := spawn(filepath.Base(options.Binary), options.LogPath, cmd)
	if err != nil {
		return nil, err
	}
	if err := p.awaitReady(ctx, options.ReadyURL); err != nil {
		p.kill()
		return nil, err
	}
	return &Server{process: p}, nil
}

// Stop sends SIGTERM and waits for the end, at most 20 s, after which the server
// is killed and that is the error. A second call, or one on nil, does nothing.
func (s *Server) Stop() error {
	if s == nil {
		return nil
	}
	return s.process.terminate(stopTimeout)
}
