package acceptance_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

// together starts pods as fast as the API server takes them.
func together(ctx context.Context, pods []*corev1.Pod) {
	GinkgoHelper()
	errs := make([]error, len(pods))
	var group sync.WaitGroup
	for n, pod := range pods {
		group.Go(func() { errs[n] = product.Client.Create(ctx, pod) })
	}
	group.Wait()
	Expect(errs).To(HaveEach(Succeed()))
}

// stepsOf are so many pods that ask for the same.
func stepsOf(owner *rig.Person, prefix, inject string, n int) []*corev1.Pod {
	pods := make([]*corev1.Pod, 0, n)
	for i := range n {
		pods = append(pods, asking(owner.Namespace, fmt.Sprintf("%s-%02d", prefix, i), inject))
	}
	return pods
}

func podNames(accesses []v1alpha1.Access) []string {
	names := make([]string, 0, len(accesses))
	for _, access := range accesses {
		names = append(names, access.Pod)
	}
	return names
}

var _ = Describe("The record of uses", func() {
	It("counts every pod and keeps the newest 20, newest first", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		openai := storeOpenAI(ctx, alice, "thirty")
		var names []string
		for _, pod := range stepsOf(alice, "step", "openai", 30) {
			projectionOf(ctx, start(ctx, pod))
			names = append(names, pod.Name)
		}
		slices.Reverse(names)
		status := statusOf(ctx, openai)
		Expect(status.Usage.Count).To(BeEquivalentTo(30))
		Expect(status.Usage.LastUsedBy).To(Equal(&v1alpha1.LastUse{Workflow: "step-29-wf", Node: "step-29.step", Pod: "step-29"}))
		Expect(podNames(status.RecentAccesses)).To(Equal(names[:20]))
		newest := status.RecentAccesses[0]
		Expect(status.Usage.LastUsedAt.Time).To(Equal(newest.Time.Truncate(time.Second)))
		Expect(newest.Time.Time).To(BeTemporally("~", time.Now(), soon))
	})

	It("counts exactly, also where pods come all at once and share several secrets", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		openai := storeOpenAI(ctx, alice, "burst")
		first := storeCustom(ctx, alice, "first", "the first value")
		second := storeCustom(ctx, alice, "second", "the second value")
		lists := []string{"openai, name:first=A, name:second=B", "name:second=B, openai", "name:first=A, name:second=B", "openai"}
		var pods []*corev1.Pod
		for n, list := range lists {
			pods = append(pods, stepsOf(alice, fmt.Sprintf("kind-%d", n), list, 10)...)
		}
		together(ctx, pods)
		for _, pod := range pods {
			projectionOf(ctx, pod)
		}
		for us, want := range map[*v1alpha1.UserSecret]int{openai: 30, first: 20, second: 30} {
			status := statusOf(ctx, us)
			Expect(status.Usage.Count).To(BeEquivalentTo(want), us.Name)
			Expect(status.RecentAccesses).To(HaveLen(v1alpha1.MaxRecentAccesses))
			newest := status.RecentAccesses[0]
			Expect(status.Usage.LastUsedBy).To(Equal(&v1alpha1.LastUse{Workflow: newest.Workflow, Node: newest.Node, Pod: newest.Pod}))
			Expect(status.Usage.LastUsedAt.Time).To(Equal(newest.Time.Truncate(time.Second)))
			uids := map[string]bool{}
			for _, access := range status.RecentAccesses {
				uids[access.PodUID] = true
			}
			Expect(uids).To(HaveLen(v1alpha1.MaxRecentAccesses), "no pod twice")
		}
	})

	It("counts a pod once for each UserSecret, under however many keys", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		openai := storeOpenAI(ctx, alice, "three")
		first, second := storeCustom(ctx, alice, "first", "the first value"), storeCustom(ctx, alice, "second", "the second value")
		pod := start(ctx, asking(alice.Namespace, "step", "openai, openai=AGAIN, name:openai=THIRD, name:first=A, name:second=B"))
		gets(ctx, pod, values{
			"OPENAI_API_KEY": openAIKey("three"), "AGAIN": openAIKey("three"), "THIRD": openAIKey("three"),
			"A": "the first value", "B": "the second value",
		})
		for _, us := range []*v1alpha1.UserSecret{openai, first, second} {
			status := statusOf(ctx, us)
			Expect(status.Usage.Count).To(BeEquivalentTo(1), us.Name)
			Expect(podNames(status.RecentAccesses)).To(Equal([]string{"step"}))
			Eventually(eventsOf(ctx, us, "Used")).Should(HaveLen(1))
		}
	})

	It("says on whose behalf, as each workflow engine tells it, and never mixes two pods", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		openai := storeOpenAI(ctx, alice, "engines")
		allowPods(ctx, alice, alice.Namespace)
		for n, engine := range engines {
			pod := &corev1.Pod{Spec: workflowPod("", "", "").Spec}
			pod.Namespace, pod.Name = alice.Namespace, fmt.Sprintf("step-%d", n)
			pod.Labels, pod.Annotations = engine.labels, map[string]string{v1alpha1.InjectAnnotation: "openai"}
			for key, value := range engine.annotations {
				pod.Annotations[key] = value
			}
			Expect(alice.Client.Create(ctx, pod)).To(Succeed())
			projectionOf(ctx, pod)

			status := statusOf(ctx, openai)
			Expect(status.Usage.LastUsedBy).To(Equal(&v1alpha1.LastUse{Workflow: engine.wantWorkflow, Node: engine.wantNode, Pod: pod.Name}), engine.name)
			newest := status.RecentAccesses[0]
			newest.Time = v1alpha1.Access{}.Time
			Expect(newest).To(Equal(v1alpha1.Access{
				Type: v1alpha1.AccessUse, Actor: alice.Name, Workflow: engine.wantWorkflow, Node: engine.wantNode,
				Pod: pod.Name, PodUID: string(pod.UID),
			}), engine.name)
			Eventually(eventsOf(ctx, openai, "Used")).Should(ContainElement(fmt.Sprintf(
				"Used by pod %s, workflow %q, node %q, created by %s", pod.Name, engine.wantWorkflow, engine.wantNode, alice.Name)))
		}
		Expect(countOf(ctx, openai)).To(Equal(len(engines)))
	})

	It("tells the pod what it got", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		storeOpenAI(ctx, alice, "told")
		storeCustom(ctx, alice, "other", "another value")
		pod := start(ctx, asking(alice.Namespace, "step", "openai, name:other"))
		issued := projectionOf(ctx, pod)
		Eventually(eventsOf(ctx, pod, "SecretIssued")).Should(ConsistOf("Issued Secret " + issued.Name + " with CUSTOM_SECRET, OPENAI_API_KEY"))
		Expect(eventsOf(ctx, pod, "WaitingForSecret")()).To(BeEmpty())
	})

	It("stands before the Secret does", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		storeOpenAI(ctx, alice, "before")
		storeCustom(ctx, alice, "first", "the first value")
		storeCustom(ctx, alice, "second", "the second value")
		secrets := observe(ctx, alice.Namespace, &corev1.SecretList{})
		uses := observe(ctx, alice.Namespace, &v1alpha1.UserSecretList{})
		pods := stepsOf(alice, "step", "openai, name:first=A, name:second=B", 10)
		together(ctx, pods)
		for _, pod := range pods {
			served := secrets.first(ctx, func(object client.Object) bool { return object.GetName() == projectionKey(pod).Name })
			for _, name := range []string{"openai", "first", "second"} {
				recorded := uses.first(ctx, func(object client.Object) bool {
					us, ok := object.(*v1alpha1.UserSecret)
					return ok && us.Name == name && slices.ContainsFunc(us.Status.RecentAccesses, func(a v1alpha1.Access) bool { return a.PodUID == string(pod.UID) })
				})
				// Both kinds lie in one etcd, whose revisions they carry.
				Expect(resourceversion.CompareResourceVersion(recorded.GetResourceVersion(), served.GetResourceVersion())).
					To(BeNumerically("<", 0), "%s was recorded in %s before it was served", pod.Name, name)
			}
		}
	})
})

// engines are pods as workflow engines label and annotate them. Those that say
// nothing stand between those that do, so that something left over would show.
var engines = []struct {
	name                   string
	labels, annotations    map[string]string
	wantWorkflow, wantNode string
}{
	{
		name:         "Argo Workflows",
		labels:       map[string]string{"workflows.argoproj.io/workflow": "nightly-7xk2p"},
		annotations:  map[string]string{"workflows.argoproj.io/node-name": "nightly-7xk2p.summarise"},
		wantWorkflow: "nightly-7xk2p", wantNode: "nightly-7xk2p.summarise",
	},
	{name: "no engine"},
	{
		name: "Tekton",
		labels: map[string]string{
			"tekton.dev/pipelineRun": "release-run-1", "tekton.dev/pipelineTask": "publish", "tekton.dev/taskRun": "release-run-1-publish",
		},
		wantWorkflow: "release-run-1", wantNode: "publish",
	},
	{
		name: "Airflow",
		labels: map[string]string{
			"airflow_version": "3.0.0", "dag_id": "daily", "task_id": "load", "run_id": "manual__2026-01-02T0304050000-1a2b3c4d5",
		},
		annotations:  map[string]string{"dag_id": "daily", "task_id": "load", "run_id": "manual__2026-01-02T03:04:05+00:00"},
		wantWorkflow: "daily/manual__2026-01-02T03:04:05+00:00", wantNode: "load",
	},
	{name: "a workflow without a node", annotations: map[string]string{v1alpha1.WorkflowAnnotation: "by-hand"}, wantWorkflow: "by-hand"},
	{
		name:         "Kubeflow Pipelines",
		labels:       map[string]string{"pipeline/runid": "0f3c", "workflows.argoproj.io/workflow": "train-abcde"},
		annotations:  map[string]string{"pipelines.kubeflow.org/task_display_name": "Train", "workflows.argoproj.io/node-name": "train-abcde.train"},
		wantWorkflow: "0f3c", wantNode: "Train",
	},
	{name: "a node without a workflow", annotations: map[string]string{v1alpha1.NodeAnnotation: "alone"}, wantNode: "alone"},
	{
		name:         "a pod that says it itself",
		labels:       map[string]string{"workflows.argoproj.io/workflow": "nightly-7xk2p"},
		annotations:  map[string]string{v1alpha1.WorkflowAnnotation: "mine", v1alpha1.NodeAnnotation: "my step"},
		wantWorkflow: "mine", wantNode: "my step",
	},
	{name: "no engine again"},
}

// history is what an API user sees who watches: every version of every object of
// a kind in a namespace, in order.
type history struct {
	watch watch.Interface
	seen  []client.Object
}

func observe(ctx context.Context, namespace string, list client.ObjectList) *history {
	GinkgoHelper()
	watcher, err := client.NewWithWatch(product.Admin(), client.Options{Scheme: rig.Scheme()})
	Expect(err).NotTo(HaveOccurred())
	w, err := watcher.Watch(ctx, list, client.InNamespace(namespace))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(w.Stop)
	return &history{watch: w}
}

// first is the oldest version that is wanted, waited for.
func (h *history) first(ctx context.Context, wanted func(client.Object) bool) client.Object {
	GinkgoHelper()
	if n := slices.IndexFunc(h.seen, wanted); n >= 0 {
		return h.seen[n]
	}
	limit := time.After(soon)
	for {
		select {
		case event, open := <-h.watch.ResultChan():
			Expect(open).To(BeTrue(), "the API server closed the watch")
			object, ok := event.Object.(client.Object)
			Expect(ok).To(BeTrue(), "%T", event.Object)
			h.seen = append(h.seen, object)
			if wanted(object) {
				return object
			}
		case <-limit:
			Fail("timed out waiting for a version to be seen")
		case <-ctx.Done():
			Fail("interrupted while waiting for a version to be seen")
		}
	}
}
