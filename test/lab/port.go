package lab

import (
	"fmt"
	"net"
	"sync"
)

// handedOut are the ports that this process was given, which it is never given again: between two calls
// the first port need not have a listener yet.
var (
	handedOutMu sync.Mutex
	handedOut   = map[int]bool{}
)

// FreePort is a TCP port of 127.0.0.1 that nothing listened on a moment ago.
func FreePort() (int, error) {
	handedOutMu.Lock()
	defer handedOutMu.Unlock()
	for range 100 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, fmt.Errorf("looking for a free port: %w", err)
		}
		port := listener.Addr().(*net.TCPAddr).Port
		if err := listener.Close(); err != nil {
			return 0, fmt.Errorf("looking for a free port: %w", err)
		}
		if !handedOut[port] {
			handedOut[port] = true
			return port, nil
		}
	}
	return 0, fmt.Errorf("looking for a free port: the system offered 100 that were handed out already")
}
