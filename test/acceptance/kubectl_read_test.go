package acceptance_test

import (
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

var _ = Describe("kubectl shows", Ordered, func() {
	var (
		alice *rig.Person
		us    *v1alpha1.UserSecret
	)

	BeforeAll(func(ctx SpecContext) {
		alice = newUser(ctx, "alice")
		unused := plaintext(alice, "unused", "postgresql", v1alpha1.TypeConnectionString, "postgresql://alice:kubectl-0123456789@db/app")
		unused.Spec.Active = new(bool)
		Expect(alice.Client.Create(ctx, unused)).To(Succeed())
		Eventually(func() string { return readyReason(asStored(ctx, unused)) }).Should(Equal(v1alpha1.ReasonInactive))

		used := plaintext(alice, "openai", "openai", v1alpha1.TypeAPIKey, typedValue)
		used.Spec.ExpiresAt = &metav1.Time{Time: time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC)}
		us = store(ctx, alice, used)
		pod := start(ctx, workflowPod(alice.Namespace, "step", "openai"))
		projectionOf(ctx, pod)
		us = asStored(ctx, us)
	})

	// table are the cells of a printed table, row by row.
	table := func(printed string) [][]string {
		var rows [][]string
		for line := range strings.Lines(printed) {
			rows = append(rows, strings.Fields(line))
		}
		return rows
	}
	const age = `^\d+s$`

	It("the columns that people look for", func(ctx SpecContext) {
		rows := table(kubectlSays(ctx, alice, "", "get", "usec"))
		Expect(rows).To(HaveLen(3))
		Expect(rows[0]).To(Equal([]string{"NAME", "PROVIDER", "TYPE", "MASKED", "READY", "VERIFIED", "USES", "LAST-USED", "EXPIRES", "AGE"}))
		Expect(rows[1][:5]).To(Equal([]string{"openai", "openai", "api_key", "........6789", "True"}))
	})

	It("key and reason in wide output", func(ctx SpecContext) {
		printed := kubectlSays(ctx, alice, "", "get", "usersecrets", "-o", "wide")
		rows := table(printed)
		Expect(rows[0][len(rows[0])-3:]).To(Equal([]string{"AGE", "KEY", "REASON"}))
		Expect(rows[1][len(rows[1])-2:]).To(Equal([]string{us.Status.KeyID, v1alpha1.ReasonReady}))
		Expect(rows[2][len(rows[2])-2:]).To(Equal([]string{us.Status.KeyID, v1alpha1.ReasonInactive}))
	})

	It("the cells under their columns", func(ctx SpecContext) {
		printed := kubectlSays(ctx, alice, "", "get", "usersecrets")
		used, unused := cells(printed, 1), cells(printed, 2)
		Expect(used).To(And(
			HaveKeyWithValue("USES", "1"), HaveKeyWithValue("EXPIRES", "2099-12-31T23:59:59Z"),
			HaveKeyWithValue("LAST-USED", MatchRegexp(age)), HaveKeyWithValue("AGE", MatchRegexp(age)), HaveKeyWithValue("VERIFIED", ""),
		))
		Expect(unused).To(And(
			HaveKeyWithValue("NAME", "unused"), HaveKeyWithValue("PROVIDER", "postgresql"), HaveKeyWithValue("TYPE", "connection_string"),
			HaveKeyWithValue("MASKED", "........"), HaveKeyWithValue("READY", "False"), HaveKeyWithValue("USES", ""), HaveKeyWithValue("EXPIRES", ""),
		))
	})

	It("what lies in the namespace, and nothing of the cluster", func(ctx SpecContext) {
		Expect(kubectlSays(ctx, alice, "", "get", "usersecrets,sealingkeys", "-o", "name")).To(Equal(
			"usersecret.usersecrets.dev/openai\nusersecret.usersecrets.dev/unused\nsealingkey.usersecrets.dev/sealing-key\n"))
	})

	It("mask, usage, accesses and events in describe", func(ctx SpecContext) {
		Eventually(func(g Gomega) {
			printed := oneLine(kubectlSays(ctx, alice, "", "describe", "usersecret", "openai"))
			for _, want := range []string{
				"Annotations: usersecrets.dev/created-by: " + alice.Name,
				"Masked: ........6789",
				"Owner: " + alice.Name,
				"Usage: Count: 1 Last Used At: ",
				"Last Used By: Node: step.step Pod: step Workflow: step-wf",
				"Recent Accesses: Actor: ",
				"Type: Ready",
				"Normal ValueStored",
				"The value changed; it is now ........6789, sealed with key " + us.Status.KeyID,
				"Normal Used",
				`Used by pod step, workflow "step-wf", node "step.step", created by `,
			} {
				g.Expect(printed).To(ContainSubstring(want))
			}
		}).Should(Succeed())
	})

	It("what each field is for", func(ctx SpecContext) {
		Expect(oneLine(kubectlSays(ctx, alice, "", "explain", "usersecret.spec.value"))).To(ContainSubstring("value is the plaintext, 1 byte to 64 KiB, write-only"))
	})
})

// cells are a row of a printed table, by column.
func cells(printed string, row int) map[string]string {
	lines := strings.Split(printed, "\n")
	found := map[string]string{}
	rest := lines[0]
	for start := 0; rest != ""; {
		name := strings.Fields(rest)[0]
		width := len(name)
		for width < len(rest) && rest[width] == ' ' {
			width++
		}
		end := min(start+width, len(lines[row]))
		if width == len(rest) {
			end = len(lines[row])
		}
		found[name] = strings.TrimSpace(lines[row][min(start, len(lines[row])):end])
		start, rest = start+width, rest[width:]
	}
	return found
}
