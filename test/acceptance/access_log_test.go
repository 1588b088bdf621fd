package acceptance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/audit"
)

// logLines are the access log's lines that the operator printed between others.
func logLines() string {
	var ours strings.Builder
	for line := range strings.Lines(product.Operator.Log()) {
		if strings.HasPrefix(line, `{"chain":`) && strings.HasSuffix(line, "\n") {
			ours.WriteString(line)
		}
	}
	return ours.String()
}

// recorded are the access log's records of one namespace, in order.
func recorded(namespace string) []audit.Record {
	GinkgoHelper()
	var all []audit.Record
	for line := range strings.Lines(logLines()) {
		var r audit.Record
		Expect(json.Unmarshal([]byte(line), &r)).To(Succeed())
		if r.Namespace == namespace {
			all = append(all, r)
		}
	}
	return all
}

// verifyLog has the operator's own binary look at a log.
func verifyLog(ctx context.Context, text string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(filepath.Dir(product.Plugin()), "usersecret-operator"), "audit", "verify", "--skip-other-lines", "-")
	cmd.Stdin = strings.NewReader(text)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

var _ = Describe("The access log", func() {
	It("says who did what, and that nobody changed it", func(ctx SpecContext) {
		alice, bob := newUser(ctx, "alice"), newUser(ctx, "bob")
		allow(ctx, bob, alice.Namespace, "usersecret-owner")
		openai := storeOpenAI(ctx, alice, "logged")
		const hostile = "nightly\n{\"chain\":\"\x1b[2K\u2028step"
		pod := start(ctx, asking(alice.Namespace, "step", "openai", map[string]string{v1alpha1.WorkflowAnnotation: hostile}))
		projectionOf(ctx, pod)
		Eventually(func() error { return bob.Client.Delete(ctx, openai.DeepCopy()) }).Should(MatchError(ContainSubstring(ownersAndDelegates)))

		Eventually(func(g Gomega) {
			key := statusOf(ctx, openai).KeyID
			g.Expect(key).NotTo(BeEmpty())
			of := audit.Record{Owner: alice.Name, Namespace: alice.Namespace, Name: openai.Name}
			create, use, remove := of, of, of
			create.Type, create.Decision, create.Actor, create.UID, create.KeyID = audit.Create, audit.Allow, alice.Name, string(openai.UID), key
			use.Type, use.Decision, use.UID, use.KeyID, use.Pod, use.PodUID = audit.Use, audit.Allow, string(openai.UID), key, pod.Name, string(pod.UID)
			use.Workflow, use.Node, use.Actor = "nightly\uFFFD{\"chain\":\"\uFFFD[2K\uFFFDstep", pod.Annotations[v1alpha1.NodeAnnotation], pod.Annotations[v1alpha1.RequestedByAnnotation]
			remove.Type, remove.Decision, remove.Actor, remove.Reason = audit.Delete, audit.Deny, bob.Name, ownersAndDelegates
			records := recorded(alice.Namespace)
			g.Expect(records).To(HaveLen(3))
			g.Expect(records[1].ID).To(Equal(string(pod.UID) + "/" + string(openai.UID) + "/use"))
			for i := range records {
				g.Expect(records[i].ID).NotTo(BeEmpty())
				g.Expect(records[i].Time).To(BeTemporally("~", time.Now(), soon))
				records[i].ID, records[i].Time = "", time.Time{}
			}
			g.Expect(records).To(Equal([]audit.Record{create, use, remove}))
		}).Should(Succeed())

		report, err := verifyLog(ctx, product.Operator.Log())
		Expect(err).NotTo(HaveOccurred(), report)
		Expect(report).To(ContainSubstring(" records, "))
		changed := strings.Replace(logLines(), `"owner":"`+alice.Name+`"`, `"owner":"`+bob.Name+`"`, 1)
		report, err = verifyLog(ctx, changed)
		Expect(err).To(HaveOccurred())
		Expect(report).To(MatchRegexp(`^\(standard input\):\d+: it was changed: line \d+ follows another\n`))
	})
})
