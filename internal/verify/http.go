package verify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/secretvalue"
)

const (
	// maxHeaders is how much of an answer's headers is read, in bytes.
	maxHeaders = 64 << 10
	// maxBody is how much of an answer's body is read, in bytes. A longer one is
	// not parsed.
	maxBody = 1 << 20
	// maxRetryAfter is the longest wait that a server is granted.
	maxRetryAfter = time.Hour
)

// transport makes the requests of HTTP tests. A RoundTripper follows no redirect
// and keeps no cookie; a connection serves one request, and so one user.
func transport(o Options) *http.Transport {
	t := &http.Transport{
		Proxy:                  o.HTTPProxy,
		DialContext:            o.HTTPDial,
		TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaders,
		Protocols:              &http.Protocols{},
		OnProxyConnectResponse: proxyAnswer,
	}
	t.Protocols.SetHTTP1(true)
	if t.Proxy == nil {
		t.Proxy = http.ProxyFromEnvironment
	}
	return t
}

// askHTTP makes the request and reads the verdict out of the answer.
func (t *Tester) askHTTP(ctx context.Context, test *v1alpha1.HTTPTest, value secretvalue.Value) Result {
	verdict, err := verdicts.of(test)
	if err != nil {
		return notTestable("the catalogue's test does not compile: ask an administrator to correct the provider")
	}
	request, err := newRequest(ctx, test, value)
	if err != nil {
		return notTestable(err.Error())
	}
	host := request.URL.Hostname()
	response, err := t.http.RoundTrip(request)
	if err != nil {
		return unreachable(host + " " + t.explain(ctx, err))
	}
	defer func() { _ = response.Body.Close() }()
	a := answer{code: response.StatusCode}
	if verdict.readsBody {
		if err := a.read(response.Body); err != nil {
			return unreachable(fmt.Sprintf("%s answered %d and then %s", host, a.code, t.explain(ctx, err)))
		}
	}
	result := verdict.on(ctx, host, a)
	if result.Reason == v1alpha1.ReasonUnreachable {
		result.RetryAfter = retryAfter(response.Header.Get("Retry-After"), time.Now())
	}
	return result
}

// answer is what a verdict is given on.
type answer struct {
	code int
	body any // nil where it is no JSON, or too long
	long bool
}

// read reads and parses the body. An error means that it did not come.
func (a *answer) read(from io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(from, maxBody+1))
	if err != nil {
		return err
	}
	if a.long = len(text) > maxBody; !a.long {
		a.body = parseJSON(text)
	}
	return nil
}

// retryAfter reads the header Retry-After (RFC 9110, section 10.2.3): seconds, or
// an HTTP date. It is 0 where the server names no time to come.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// errProxyRefused means that the proxy did not open the way to the host.
var errProxyRefused = errors.New("the proxy refused")

func proxyAnswer(_ context.Context, _ *url.URL, _ *http.Request, response *http.Response) error {
	if response.StatusCode == http.StatusOK {
		return nil
	}
	return fmt.Errorf("%w (%d)", errProxyRefused, response.StatusCode)
}
