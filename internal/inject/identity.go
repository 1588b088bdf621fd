package inject

import (
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/api/v1alpha1"
)

// MaxIdentityLength is the longest workflow or node, in characters (Unicode
// code points): what fits into status.recentAccesses.
const MaxIdentityLength = 253

// Identify says on whose behalf a pod runs: the workflow run, and the step
// (node) of it. The pod's own usersecrets.dev/workflow and usersecrets.dev/node
// win; without them, the marks of Kubeflow Pipelines, Argo Workflows, Tekton
// and Airflow are read. Either may be empty.
//
// Both are what the pod's creator says, for people who read the record; nothing
// is authorised by them. They are safe to log: at most MaxIdentityLength
// printable characters.
func Identify(pod *corev1.Pod) (workflow, node string) {
	workflow = loggable(pod.Annotations[v1alpha1.WorkflowAnnotation])
	node = loggable(pod.Annotations[v1alpha1.NodeAnnotation])
	if workflow != "" && node != "" {
		return workflow, node
	}
	for _, identify := range platforms {
		w, n := identify(pod)
		if w != "" {
			return first(workflow, loggable(w)), first(node, loggable(n))
		}
	}
	return workflow, node
}

// platforms read the marks of one workflow platform each. Kubeflow Pipelines
// runs on Argo Workflows, so its pods carry both marks, and its own come first.
var platforms = []func(*corev1.Pod) (workflow, node string){
	identifyKubeflow, identifyArgo, identifyTekton, identifyAirflow,
}

// Kubeflow Pipelines labels the pods of a run with its id (LabelKeyWorkflowRunId
// in backend/src/common/util/consts.go of kubeflow/pipelines) and, where the
// step has a display name, annotates them with it.
func identifyKubeflow(pod *corev1.Pod) (workflow, node string) {
	_, argoNode := identifyArgo(pod)
	return pod.Labels["pipeline/runid"],
		first(pod.Annotations["pipelines.kubeflow.org/task_display_name"], argoNode)
}

// Argo Workflows labels pods with the Workflow's name and annotates them with
// the node's (LabelKeyWorkflow and AnnotationKeyNodeName in
// workflow/common/common.go of argoproj/argo-workflows).
func identifyArgo(pod *corev1.Pod) (workflow, node string) {
	return pod.Labels["workflows.argoproj.io/workflow"], pod.Annotations["workflows.argoproj.io/node-name"]
}

// Tekton labels pods as https://tekton.dev/docs/pipelines/labels says. A
// TaskRun outside of a pipeline is a workflow of one step.
func identifyTekton(pod *corev1.Pod) (workflow, node string) {
	run := pod.Labels["tekton.dev/taskRun"]
	return first(pod.Labels["tekton.dev/pipelineRun"], run), first(pod.Labels["tekton.dev/pipelineTask"], run)
}

// Airflow labels the pods of its Kubernetes executor and of KubernetesPodOperator
// with dag_id, task_id, run_id and airflow_version; the executor also annotates
// them with the same words, unshortened (pod_generator.py and operators/pod.py of
// its provider cncf.kubernetes). Words as plain as dag_id are only Airflow's
// where its version stands beside them.
func identifyAirflow(pod *corev1.Pod) (workflow, node string) {
	if _, ok := pod.Labels["airflow_version"]; !ok {
		return "", ""
	}
	read := func(key string) string { return first(pod.Annotations[key], pod.Labels[key]) }
	workflow = read("dag_id")
	if run := read("run_id"); workflow != "" && run != "" {
		workflow += "/" + run
	}
	return workflow, read("task_id")
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// loggable makes any text safe to log and to show: characters that do not
// print (control characters, line and paragraph separators, marks that turn the
// direction of writing) and bytes that are not UTF-8 become U+FFFD, and a text
// that is too long ends in an ellipsis.
func loggable(text string) string {
	text = strings.TrimSpace(text)
	runes := make([]rune, 0, min(len(text), MaxIdentityLength))
	for _, r := range text {
		if len(runes) == MaxIdentityLength {
			runes[MaxIdentityLength-1] = '…'
			break
		}
		if !unicode.IsPrint(r) {
			r = unicode.ReplacementChar
		}
		runes = append(runes, r)
	}
	return string(runes)
}
