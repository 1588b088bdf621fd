package lab

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// answer writes a Status as the API server does.
func answer(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason,
		Message: "made by the lab's proxy",
	})
}

// pause waits, or until the client gives up.
func pause(r *http.Request, d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

// cutShort ends a watch after a moment.
func (f *FaultyAPI) cutShort(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), shortWatchLife)
	defer cancel()
	f.proxy.ServeHTTP(w, r.WithContext(ctx))
}

// slow holds an answer back for a moment, again and again, so that whoever
// watches is behind; what piled up meanwhile then comes at once.
type slow struct {
	http.ResponseWriter
	request *http.Request
	held    time.Time
}

// Write implements io.Writer.
func (s *slow) Write(b []byte) (int, error) {
	if time.Since(s.held) > watchHold {
		pause(s.request, watchDelay)
		s.held = time.Now()
	}
	return s.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController flush.
func (s *slow) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// discard takes an answer that nobody gets.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
func (d discard) Flush()                      {}

func pemEncode(certificate []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
}

// quietLog keeps the server's complaints about dropped connections to itself.
func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }
