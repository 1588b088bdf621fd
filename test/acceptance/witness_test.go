package acceptance_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/test/rig"
)

// witness is somebody who remembers every warning that the API server gave.
type witness struct {
	*rig.Person
	client client.Client
	heard  *hearing
}

// witnessOf is a person with a client that listens.
func witnessOf(person *rig.Person) *witness {
	GinkgoHelper()
	heard := &hearing{}
	cfg := rest.CopyConfig(person.Config)
	cfg.WarningHandlerWithContext = heard
	c, err := client.New(cfg, client.Options{Scheme: rig.Scheme()})
	Expect(err).NotTo(HaveOccurred())
	return &witness{Person: person, client: c, heard: heard}
}

// newAdmin is an administrator, who holds every right that RBAC gives.
func newAdmin() *witness {
	GinkgoHelper()
	admin, err := product.Person(fmt.Sprintf("admin-%d", serial.Add(1)), "", "system:masters")
	Expect(err).NotTo(HaveOccurred())
	return witnessOf(admin)
}

// hearing keeps warnings (RFC 7234, section 5.5) in the order of their arrival.
type hearing struct {
	mu       sync.Mutex
	warnings []string
}

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (h *hearing) HandleWarningHeaderWithContext(_ context.Context, _ int, _ string, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.warnings = append(h.warnings, text)
}

// take returns the warnings since the last call.
func (h *hearing) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	heard := h.warnings
	h.warnings = nil
	return heard
}

// everythingTold is an answer with all of its details, and the warnings beside it.
func everythingTold(err error, warnings []string) string {
	told := strings.Join(warnings, "\n") + "\n" + err.Error()
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		if details, err := json.Marshal(status.Status()); err == nil {
			told += "\n" + string(details)
		}
	}
	return told
}

// expectSilence expects that a text does not repeat a value, in the clear or as
// somebody would encode it. A failure names the form, and shows neither.
func expectSilence(text, value string) {
	GinkgoHelper()
	var found []string
	for form, needle := range valueForms(value) {
		if needle != "" && strings.Contains(text, needle) {
			found = append(found, form)
		}
	}
	Expect(found).To(BeEmpty(), "the value is repeated")
}

// valueForms are spellings of a value that give it away. Base64 is cut to what
// does not depend on padding.
func valueForms(value string) map[string]string {
	quoted, err := json.Marshal(value)
	Expect(err).NotTo(HaveOccurred())
	return map[string]string{
		"clear":       value,
		"JSON":        strings.Trim(string(quoted), `"`),
		"base64":      strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(value)), "="),
		"base64url":   strings.TrimRight(base64.URLEncoding.EncodeToString([]byte(value)), "="),
		"hexadecimal": hex.EncodeToString([]byte(value)),
	}
}
