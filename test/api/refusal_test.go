package api_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// rulesUnchecked is what the API server adds where a field is so wrong that it does not try the CEL rules.
const rulesUnchecked = "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; " +
	"correct the existing errors to complete validation"

// refusals are what an object was found invalid for, each as "path: message", without rulesUnchecked.
func refusals(err error) []string {
	GinkgoHelper()
	Expect(err).To(HaveOccurred(), "the API server accepted it")
	Expect(apierrors.IsInvalid(err)).To(BeTrue(), "refused, but not as invalid: %v", err)
	var status apierrors.APIStatus
	Expect(errors.As(err, &status)).To(BeTrue())
	var texts []string
	for _, cause := range status.Status().Details.Causes {
		if text := fmt.Sprintf("%s: %s", cause.Field, cause.Message); text != rulesUnchecked {
			texts = append(texts, text)
		}
	}
	return texts
}

// reasons are the kinds of what an object was found invalid for.
func reasons(err error) []string {
	GinkgoHelper()
	var status apierrors.APIStatus
	Expect(errors.As(err, &status)).To(BeTrue(), "not an answer of the API server: %v", err)
	var kinds []string
	for _, cause := range status.Status().Details.Causes {
		kinds = append(kinds, string(cause.Type))
	}
	return kinds
}

// What the API server says of a field where a bound is broken, after "path: ". It counts
// characters, and says bytes.

const required = "Required value"

func empty(path string) string { return wrong(`""`, path, "should be at least 1 chars long") }

func tooLong(n int) string { return fmt.Sprintf("Too long: may not be more than %d bytes", n) }

func tooMany(n, most int) string {
	return fmt.Sprintf("Too many: %d: must have at most %d items", n, most)
}

func negative(path string, value int) string {
	return wrong(strconv.Itoa(value), path, "should be greater than or equal to 0")
}

func noMatch(path, value, pattern string) string {
	return wrong(strconv.Quote(value), path, "should match '"+pattern+"'")
}

// wrongType has the type that was given in value, but where want is a format, the value itself:
// which is why a UserSecret's value has no format.
func wrongType(path, want, value string) string {
	return wrong(strconv.Quote(value), path, fmt.Sprintf("must be of type %s: %q", want, value))
}

// wrong names the path again: that of a status from the status on.
func wrong(value, path, what string) string {
	return fmt.Sprintf("Invalid value: %s: %s in body %s", value, strings.TrimPrefix(path, "status."), what)
}
