package lab

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

// Fault is what becomes of one request on its way to the API server.
type Fault int

// The faults. Each is one that clients meet in real clusters.
const (
	// Pass lets the request through.
	Pass Fault = iota
	// Conflict answers 409, as where somebody else wrote first.
	Conflict
	// TooManyRequests answers 429 with Retry-After, as priority and fairness does.
	TooManyRequests
	// InternalError answers 500.
	InternalError
	// Timeout answers 504 after a moment, without asking the API server.
	Timeout
	// LostAnswer lets the request through and resets its stream instead of answering.
	LostAnswer
	// Drop drops the connection without asking the API server, and with it all
	// that is under way on it: HTTP/2 has a client's watches there too.
	Drop
	// Hang answers nothing until the client gives up.
	Hang
	// ShortWatch lets a watch live for a moment only.
	ShortWatch
	// SlowWatch delivers a watch's events late: what is cached is stale meanwhile.
	SlowWatch
)

var faultNames = [...]string{
	Pass: "none", Conflict: "409", TooManyRequests: "429 with Retry-After", InternalError: "500", Timeout: "504",
	LostAnswer: "lost answer", Drop: "dropped connection", Hang: "no answer", ShortWatch: "short watch", SlowWatch: "slow watch",
}

// String implements fmt.Stringer.
func (f Fault) String() string { return faultNames[f] }

const (
	faultTimeout   = 300 * time.Millisecond
	shortWatchLife = 500 * time.Millisecond
	watchDelay     = 700 * time.Millisecond
	watchHold      = time.Second
)

// FaultyAPI stands in front of the lab's API server and makes faults.
type FaultyAPI struct {
	server *httptest.Server
	proxy  *httputil.ReverseProxy

	mu      sync.Mutex
	choose  func(*http.Request) Fault
	made    map[Fault]int
	watches map[*http.Request]context.CancelFunc
}

// connectionKey is the context key of the connection that a request came on.
type connectionKey struct{}

// FaultyAPI starts a proxy that lets everything pass until told otherwise. The
// caller closes it.
func (l *Lab) FaultyAPI() (*FaultyAPI, error) {
	target, err := url.Parse(l.admin.Host)
	if err != nil {
		return nil, fmt.Errorf("parsing the API server's address: %w", err)
	}
	// Only the CA: each client's own credentials travel in its headers.
	transport, err := rest.TransportFor(rest.AnonymousClientConfig(l.admin))
	if err != nil {
		return nil, fmt.Errorf("making a transport to the API server: %w", err)
	}
	f := &FaultyAPI{made: map[Fault]int{}, watches: map[*http.Request]context.CancelFunc{}}
	f.proxy = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1, // watches are streams
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	f.server = httptest.NewUnstartedServer(f)
	f.server.EnableHTTP2 = true
	f.server.Config.ErrorLog = quietLog()
	f.server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, c)
	}
	f.server.StartTLS()
	return f, nil
}

// Config is cfg, which must carry a token, by way of the proxy.
func (f *FaultyAPI) Config(cfg *rest.Config) *rest.Config {
	out := rest.CopyConfig(cfg)
	out.Host = f.server.URL
	out.CAData = pemEncode(f.server.Certificate().Raw)
	return out
}

// Choose has choose decide about every request from now on; nil ends all faults.
// Watches that are open live for minutes and would never be decided about: they
// are ended, and come again.
func (f *FaultyAPI) Choose(choose func(*http.Request) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.choose = choose
	for _, end := range f.watches {
		end()
	}
}

// Made is the number of faults made so far, by kind.
func (f *FaultyAPI) Made() map[Fault]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.made)
}

// Close drops all connections.
func (f *FaultyAPI) Close() {
	f.server.CloseClientConnections()
	f.server.Close()
}

// decide is what becomes of a request. A watch lasts until done is called, or the
// next Choose.
func (f *FaultyAPI) decide(r *http.Request) (fault Fault, decided *http.Request, done func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.choose != nil {
		fault = f.choose(r)
	}
	if fault != Pass {
		f.made[fault]++
	}
	if !IsWatch(r) {
		return fault, r, func() {}
	}
	ctx, end := context.WithCancel(r.Context())
	f.watches[r] = end
	return fault, r.WithContext(ctx), func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watches, r)
		end()
	}
}

// ServeHTTP implements http.Handler.
func (f *FaultyAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault, r, done := f.decide(r)
	defer done()
	switch fault {
	case Conflict:
		answer(w, http.StatusConflict, "Conflict")
	case TooManyRequests:
		w.Header().Set("Retry-After", "1")
		answer(w, http.StatusTooManyRequests, "TooManyRequests")
	case InternalError:
		answer(w, http.StatusInternalServerError, "InternalError")
	case Timeout:
		pause(r, faultTimeout)
		answer(w, http.StatusGatewayTimeout, "Timeout")
	case LostAnswer:
		f.proxy.ServeHTTP(discard{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case Drop:
		_ = r.Context().Value(connectionKey{}).(net.Conn).Close() // fails only where it is closed already
		panic(http.ErrAbortHandler)
	case Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case ShortWatch:
		f.cutShort(w, r)
	case SlowWatch:
		f.proxy.ServeHTTP(&slow{ResponseWriter: w, request: r}, r)
	default:
		f.proxy.ServeHTTP(w, r)
	}
}

// IsWatch says whether a request is a watch.
func IsWatch(r *http.Request) bool { return r.URL.Query().Get("watch") == "true" }

// IsWrite says whether a request may change something, as its method has it.
func IsWrite(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && !IsWatch(r)
}

// RandomFaults makes a fault of one in every so many requests, of the kind that
// each can meet, from a seed, so that a run can be repeated. Leader election is
// spared: losing it ends the process, which is another test. Hang is not among
// them, since what it costs depends on the deadline of who asks.
func RandomFaults(seed uint64, oneIn int) func(*http.Request) Fault {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, seed))
	roll := func() int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(1 << 20)
	}
	forReads := []Fault{TooManyRequests, InternalError, Timeout, Drop}
	forWrites := []Fault{Conflict, TooManyRequests, InternalError, Timeout, Drop, LostAnswer, LostAnswer}
	forWatches := []Fault{ShortWatch, SlowWatch, SlowWatch, InternalError}
	return func(r *http.Request) Fault {
		if strings.Contains(r.URL.Path, "/leases/") {
			return Pass
		}
		kinds, odds := forReads, oneIn
		switch {
		case IsWatch(r):
			kinds, odds = forWatches, 2
		case IsWrite(r):
			kinds = forWrites
		}
		if n := roll(); n%odds == 0 {
			return kinds[(n/odds)%len(kinds)]
		}
		return Pass
	}
}
