package lab

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
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
	// LostAnswer lets the request through and drops the answer with the connection.
	LostAnswer
	// Drop drops the connection without asking the API server.
	Drop
	// ShortWatch lets a watch live for a moment only.
	ShortWatch
	// SlowWatch delivers a watch's events late: what is cached is stale meanwhile.
	SlowWatch
)

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
	choose atomic.Pointer[func(*http.Request) Fault]
	made   atomic.Int64
}

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
	f := &FaultyAPI{proxy: &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1, // watches are streams
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}}
	f.server = httptest.NewUnstartedServer(f)
	f.server.EnableHTTP2 = true
	f.server.Config.ErrorLog = quietLog()
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
func (f *FaultyAPI) Choose(choose func(*http.Request) Fault) {
	if choose == nil {
		f.choose.Store(nil)
		return
	}
	f.choose.Store(&choose)
}

// Made is the number of faults made so far.
func (f *FaultyAPI) Made() int64 { return f.made.Load() }

// Close drops all connections.
func (f *FaultyAPI) Close() {
	f.server.CloseClientConnections()
	f.server.Close()
}

// ServeHTTP implements http.Handler.
func (f *FaultyAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := Pass
	if choose := f.choose.Load(); choose != nil {
		fault = (*choose)(r)
	}
	if fault != Pass {
		f.made.Add(1)
	}
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
// spared: losing it ends the process, which is another test.
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
