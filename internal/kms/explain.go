package kms

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/aws/smithy-go"
	"github.com/hashicorp/vault/api"
	"gocloud.dev/gcerrors"
	"google.golang.org/grpc/status"

	"usersecrets.dev/operator/internal/keyring"
)

// explain tells a refusal of the ciphertext from a service that cannot be asked.
// No service's error repeats what it was sent.
func (r *Root) explain(action string, err error) error {
	if refusesCiphertext(err) {
		return fmt.Errorf("%s refuses to %s it: %s", r.id, action, reason(err))
	}
	return fmt.Errorf("%w: %s: %s", keyring.ErrRootUnavailable, r.id, reason(err))
}

// refusesCiphertext: AWS says InvalidCiphertextException, Google and Azure
// INVALID_ARGUMENT and 400, which gocloud maps alike. Vault's 400 it does not map.
func refusesCiphertext(err error) bool {
	var vault *api.ResponseError
	if errors.As(err, &vault) {
		return vault.StatusCode == http.StatusBadRequest && vaultRefuses(vault.Errors)
	}
	return gcerrors.Code(err) == gcerrors.InvalidArgument
}

// vaultRefuses: Vault answers 400 also where the key is gone or a version of it is
// no longer allowed, and that says nothing about the ciphertext.
func vaultRefuses(answers []string) bool {
	for _, text := range answers {
		if strings.Contains(text, "invalid ciphertext") || strings.Contains(text, "message authentication failed") {
			return true
		}
	}
	return false
}

// reason is an error on one line. What differs from one request to the next, such
// as its id, is left out, since conditions repeat the text.
func reason(err error) string {
	var (
		vault  *api.ResponseError
		aws    smithy.APIError
		azure  *azcore.ResponseError
		google interface{ GRPCStatus() *status.Status }
		failed *net.OpError
	)
	switch {
	case errors.As(err, &vault):
		return says("Vault", strconv.Itoa(vault.StatusCode), strings.Join(vault.Errors, "; "))
	case errors.As(err, &aws):
		return says("AWS", aws.ErrorCode(), aws.ErrorMessage())
	case errors.As(err, &azure):
		return says("Azure", strconv.Itoa(azure.StatusCode), azure.ErrorCode)
	case errors.As(err, &google):
		return says("Google", google.GRPCStatus().Code().String(), google.GRPCStatus().Message())
	case errors.As(err, &failed) && failed.Addr != nil:
		return fmt.Sprintf("%s %s %s: %v", failed.Op, failed.Net, failed.Addr, failed.Err)
	}
	// Azure's login ends its texts with the request's id and time.
	text, _, _ := strings.Cut(oneLine(err.Error()), " Trace ID:")
	return text
}

func says(service, code, text string) string {
	if text = oneLine(text); text != "" {
		text = ": " + text
	}
	return service + " answers " + code + text
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
