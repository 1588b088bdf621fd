package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Service is what a ClusterIP is to pods: one address for several backends, of
// which only those that are ready get new connections. Connections that are
// there stay where they are.
type Service struct {
	listener net.Listener
	cancel   context.CancelFunc

	mu       sync.Mutex
	backends []*backend
	next     int
	open     map[net.Conn]struct{}
}

// Backend is one of a Service's.
type Backend struct {
	Address  string // host:port
	ReadyURL string // answers 200 while ready
}

type backend struct {
	Backend
	ready bool
}

// probePeriod is how often readiness is asked; a kubelet asks every few seconds,
// and endpoints lag behind by as much again.
const probePeriod = 200 * time.Millisecond

// NewService listens on a free port of 127.0.0.1 until Close.
func NewService(backends ...Backend) (*Service, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for a Service: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Service{listener: listener, cancel: cancel, open: map[net.Conn]struct{}{}}
	for _, b := range backends {
		s.backends = append(s.backends, &backend{Backend: b})
	}
	go s.probe(ctx)
	go s.accept()
	return s, nil
}

// Address is where the Service listens.
func (s *Service) Address() string { return s.listener.Addr().String() }

// Close ends the Service; connections that are there end with their peers.
func (s *Service) Close() error {
	s.cancel()
	return s.listener.Close()
}

// Shed closes the connections that are there, so that clients which keep theirs
// come to know every backend. Nobody may be waiting for an answer then.
func (s *Service) Shed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for connection := range s.open {
		_ = connection.Close()
	}
}

func (s *Service) probe(ctx context.Context) {
	ticker := time.NewTicker(probePeriod)
	defer ticker.Stop()
	probes := http.Client{Timeout: probePeriod, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		for _, b := range s.backends {
			ready := answersOK(ctx, &probes, b.ReadyURL)
			s.mu.Lock()
			b.ready = ready
			s.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func answersOK(ctx context.Context, c *http.Client, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := c.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func (s *Service) accept() {
	for {
		connection, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		go s.forward(connection)
	}
}

// pick takes the ready backends in turn.
func (s *Service) pick() (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range s.backends {
		s.next = (s.next + 1) % len(s.backends)
		if b := s.backends[s.next]; b.ready {
			return b.Address, true
		}
	}
	return "", false
}

func (s *Service) keep(connection net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[connection] = struct{}{}
}

func (s *Service) drop(connection net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, connection)
	_ = connection.Close()
}

func (s *Service) forward(in net.Conn) {
	s.keep(in)
	defer s.drop(in)
	address, ok := s.pick()
	if !ok {
		return
	}
	out, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	ended := make(chan struct{}, 2)
	pipe := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		ended <- struct{}{}
	}
	go pipe(out, in)
	go pipe(in, out)
	<-ended
}
