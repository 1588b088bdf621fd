package cli

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
)

var (
	errUsername       = errors.New("USER is no username")
	errServiceAccount = errors.New("USER is no service account: its username is system:serviceaccount:NAMESPACE:NAME")
	errNobody         = errors.New("USER is everybody who has not logged in, and nobody's namespace may be theirs: give a user's own name")
	errDerived        = errors.New("no namespace can be named after USER: give one with --namespace")
	errNamespace      = errors.New("--namespace is no valid name: use lower case letters, digits and '-', start and end with a letter or digit, and at most 63 characters")
)

const (
	serviceAccountPrefix = "system:serviceaccount:"
	anonymous            = "system:anonymous"
)

// checkUsername refuses what no authenticator of a Kubernetes API server says,
// or nobody should own a namespace as.
func checkUsername(user string) error {
	switch {
	case user == "" || strings.TrimSpace(user) != user:
		return fmt.Errorf("%w: it is empty, or starts or ends with a space", errUsername)
	case !utf8.ValidString(user) || strings.ContainsFunc(user, unicode.IsControl):
		return fmt.Errorf("%w: it has a control character in it, or is not UTF-8", errUsername)
	case len(user) > envelope.MaxOwnerLength:
		return fmt.Errorf("%w that a value can be sealed for: it has more than %d bytes", errUsername, envelope.MaxOwnerLength)
	case user == anonymous:
		return errNobody
	}
	_, err := subjectOf(user)
	return err
}

// namespaceOf derives a namespace's name (a DNS label, RFC 1123, section 2.1)
// from a username: lower case, '-' for what no label has, at most 63 characters.
func namespaceOf(user string) (string, error) {
	label := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(user))
	label = strings.TrimLeft(label, "-")
	label = strings.TrimRight(label[:min(len(label), validation.DNS1123LabelMaxLength)], "-")
	if label == "" {
		return "", errDerived
	}
	return label, nil
}

// reserved says whether a namespace belongs to the cluster itself or to the
// operator, and so never to a user.
func reserved(namespace string) bool {
	return strings.HasPrefix(namespace, "kube-") || namespace == v1alpha1.OperatorNamespace || namespace == "default"
}

// subjectOf is how RBAC names the user.
func subjectOf(user string) (rbacv1.Subject, error) {
	account, ok := strings.CutPrefix(user, serviceAccountPrefix)
	if !ok {
		return rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}, nil
	}
	namespace, name, ok := strings.Cut(account, ":")
	if !ok || len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return rbacv1.Subject{}, errServiceAccount
	}
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}, nil
}
