package cli

import (
	"errors"
	"net/url"
	"strings"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// explain returns an error as one line. What comes from the API server or the
// network says what was wrong but seldom what to do: that is added.
func explain(err error) string {
	if interrupted(err) {
		return "interrupted"
	}
	text := oneLine(err.Error())
	if remedy := remedyFor(err); remedy != "" {
		text += "; " + remedy
	}
	return text
}

func remedyFor(err error) string {
	var unreached *url.Error
	switch {
	case apierrors.IsUnauthorized(err):
		return "the cluster does not accept your credentials: log in to it again"
	case noSuchResource(err):
		return "ask an administrator whether the UserSecret operator is installed in this cluster"
	case lacksRight(err):
		return rightRemedy(err)
	case errors.As(err, &unreached):
		return "check --context, --kubeconfig and your connection to the cluster"
	}
	return ""
}

// noSuchResource tells a kind that the API server does not know from an object
// that is not there: only the latter's answer names the object.
func noSuchResource(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || details.Name == ""
}

// lacksRight tells a missing right from the refusals of admission, which say
// themselves what to do.
func lacksRight(err error) bool {
	return apierrors.IsForbidden(err) && (strings.Contains(err.Error(), `" cannot `) || strings.Contains(err.Error(), "is attempting to grant RBAC permissions"))
}

// rightRemedy names the shipped role with the right that is missing.
func rightRemedy(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil {
		switch status.Status().Details.Kind {
		case "namespaces", "rolebindings":
			return "ask an administrator for the ClusterRole usersecret-onboarder"
		case "encryptionkeys":
			return "ask an administrator for the ClusterRole usersecret-key-admin"
		case "secrets":
			return "ask an administrator for the Role usersecret-key-backup in the operator's namespace"
		}
	}
	if strings.HasSuffix(err.Error(), "at the cluster scope") {
		return "leave --all-namespaces out, or ask an administrator for the ClusterRole usersecret-auditor"
	}
	return "name your own namespace with --namespace, or ask an administrator for the role usersecret-owner in this one"
}

// oneLine takes out line breaks, and whatever else would move a terminal's
// cursor or colours: parts of the text are the server's.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.TrimSpace(text))
}
