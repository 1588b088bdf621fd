package policy

import (
	"fmt"
	"strings"

	"github.com/onsi/gomega/gcustom"
	"github.com/onsi/gomega/types"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// beDenied matches the error of a request that the policy refused with exactly this message.
func beDenied(policy, message string) types.GomegaMatcher {
	want := fmt.Sprintf("ValidatingAdmissionPolicy '%s' with binding '%s' denied request: %s", policy, policy, message)
	return gcustom.MakeMatcher(func(err error) (bool, error) {
		return apierrors.IsForbidden(err) && strings.HasSuffix(err.Error(), " is forbidden: "+want), nil
	}).WithMessage("be a denial that says: " + want)
}
