package certificates_test

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/test/lab"
)

// grant gives the operator's user what the markers in internal/certificates say, and nothing else.
func grant(ctx context.Context) {
	GinkgoHelper()
	clusterRules, namespaceRules := markedRules()
	name := metav1.ObjectMeta{Name: "certificates"}
	inNamespace := metav1.ObjectMeta{Namespace: namespace, Name: name.Name}
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: operatorUser}}

	Expect(admin.Create(ctx, &rbacv1.ClusterRole{ObjectMeta: name, Rules: clusterRules})).To(Succeed())
	Expect(admin.Create(ctx, &rbacv1.Role{ObjectMeta: inNamespace, Rules: namespaceRules})).To(Succeed())
	Expect(admin.Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: name, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name.Name},
	})).To(Succeed())
	Expect(admin.Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: inNamespace, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name.Name},
	})).To(Succeed())
}

// markedRules reads the markers that controller-gen makes the operator's roles from.
func markedRules() (cluster, inNamespace []rbacv1.PolicyRule) {
	GinkgoHelper()
	root, err := lab.ProjectRoot()
	Expect(err).NotTo(HaveOccurred())
	file, err := os.Open(filepath.Join(root, "internal", "certificates", "controller.go"))
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		marker, found := strings.CutPrefix(lines.Text(), "// +kubebuilder:rbac:")
		if !found {
			continue
		}
		rule, where := parseMarker(marker)
		if where == "" {
			cluster = append(cluster, rule)
			continue
		}
		Expect(where).To(Equal(namespace))
		inNamespace = append(inNamespace, rule)
	}
	Expect(cluster).NotTo(BeEmpty())
	Expect(inNamespace).NotTo(BeEmpty())
	return cluster, inNamespace
}

func parseMarker(marker string) (rule rbacv1.PolicyRule, where string) {
	GinkgoHelper()
	for argument := range strings.SplitSeq(marker, ",") {
		key, value, _ := strings.Cut(argument, "=")
		values := strings.Split(strings.Trim(value, `"`), ";")
		switch key {
		case "groups":
			rule.APIGroups = values
		case "resources":
			rule.Resources = values
		case "resourceNames":
			rule.ResourceNames = values
		case "verbs":
			rule.Verbs = values
		case "namespace":
			where = value
		default:
			Fail("an argument that these tests do not know: " + argument)
		}
	}
	return rule, where
}
