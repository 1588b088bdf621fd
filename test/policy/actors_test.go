package policy

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Usernames of those that policies tell apart.
const (
	alice               = "alice"
	bob                 = "bob"
	operator            = "system:serviceaccount:usersecrets-system:usersecret-operator"
	garbageCollector    = "system:serviceaccount:kube-system:generic-garbage-collector"
	namespaceController = "system:serviceaccount:kube-system:namespace-controller"
	controllerManager   = "system:kube-controller-manager"
	storageMigrator     = "system:serviceaccount:kube-system:storage-version-migrator-controller"
)

// as is a client of a user in writersGroup.
func as(username string) client.Client {
	GinkgoHelper()
	return impersonate(username, writersGroup)
}

// impersonate is a client of a user in exactly these groups, and system:authenticated.
func impersonate(username string, groups ...string) client.Client {
	GinkgoHelper()
	config := rest.CopyConfig(adminConfig)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: username,
		Groups:   append([]string{"system:authenticated"}, groups...),
	}
	c, err := client.New(config, client.Options{Mapper: admin.RESTMapper()})
	Expect(err).NotTo(HaveOccurred())
	return c
}
