package lab_test

import (
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"usersecrets.dev/operator/test/lab"
)

func shippedAuditPolicy() *audit.Policy {
	GinkgoHelper()
	root, err := lab.ProjectRoot()
	Expect(err).NotTo(HaveOccurred())
	shipped, err := policy.LoadPolicyFromFile(filepath.Join(root, "config", "audit", "policy.yaml"))
	Expect(err).NotTo(HaveOccurred())
	return shipped
}

func asking(name, verb, group, resource string, groups ...string) authorizer.AttributesRecord {
	return authorizer.AttributesRecord{
		User: &user.DefaultInfo{Name: name, Groups: groups}, Verb: verb,
		APIGroup: group, Resource: resource, Namespace: "somewhere", ResourceRequest: true,
	}
}

func asOperator(verb, group, resource string) authorizer.AttributesRecord {
	return asking("system:serviceaccount:usersecrets-system:usersecret-operator", verb, group, resource)
}

func below(request authorizer.AttributesRecord, subresource string) authorizer.AttributesRecord {
	request.Subresource = subresource
	return request
}

var _ = Describe("The shipped audit policy", func() {
	It("has no rule that stores bodies", func() {
		for i, rule := range shippedAuditPolicy().Rules {
			Expect(rule.Level).To(BeElementOf(audit.LevelNone, audit.LevelMetadata), "rule %d", i)
		}
	})

	DescribeTable("records",
		func(request authorizer.AttributesRecord, want audit.Level) {
			rule := policy.NewPolicyRuleEvaluator(shippedAuditPolicy()).EvaluatePolicyRule(request)
			Expect(rule.Level).To(Equal(want))
			Expect(rule.OmitStages).To(ConsistOf(audit.StageRequestReceived))
		},
		Entry("a value stored", asking("alice", "create", "usersecrets.dev", "usersecrets"), audit.LevelMetadata),
		Entry("a use", below(asOperator("patch", "usersecrets.dev", "usersecrets"), "status"), audit.LevelMetadata),
		Entry("a projection made", asOperator("create", "", "secrets"), audit.LevelMetadata),
		Entry("a Secret read", asking("bob", "get", "", "secrets"), audit.LevelMetadata),
		Entry("a way into a pod", below(asking("bob", "create", "", "pods"), "exec"), audit.LevelMetadata),
		Entry("a token minted", below(asking("bob", "create", "", "serviceaccounts"), "token"), audit.LevelMetadata),
		Entry("a policy removed", asking("bob", "delete", "admissionregistration.k8s.io", "validatingadmissionpolicies"), audit.LevelMetadata),
		Entry("anything else", asking("bob", "create", "apps", "deployments"), audit.LevelMetadata),
		Entry("somebody at a lease", asking("bob", "update", "coordination.k8s.io", "leases"), audit.LevelMetadata),
		Entry("no heartbeat of the operator", asOperator("update", "coordination.k8s.io", "leases"), audit.LevelNone),
		Entry("no heartbeat of a node", asking("system:node:one", "update", "coordination.k8s.io", "leases", "system:nodes"), audit.LevelNone),
		Entry("no probe", authorizer.AttributesRecord{User: &user.DefaultInfo{}, Verb: "get", Path: "/readyz"}, audit.LevelNone),
		Entry("an unknown path", authorizer.AttributesRecord{User: &user.DefaultInfo{}, Verb: "get", Path: "/debug/pprof"}, audit.LevelMetadata),
	)
})
