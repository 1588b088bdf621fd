package inject_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/internal/inject"
)

func TestIdentify(t *testing.T) {
	type texts = map[string]string
	tests := map[string]struct {
		labels, annotations    texts
		wantWorkflow, wantNode string
	}{
		"nothing": {},
		"annotations": {
			annotations:  texts{prefix + "workflow": "nightly-42", prefix + "node": "train"},
			wantWorkflow: "nightly-42", wantNode: "train",
		},
		"Argo Workflows": {
			labels:       texts{"workflows.argoproj.io/workflow": "hello-x7k2p"},
			annotations:  texts{"workflows.argoproj.io/node-name": "hello-x7k2p[0].train(0:a)"},
			wantWorkflow: "hello-x7k2p", wantNode: "hello-x7k2p[0].train(0:a)",
		},
		"Tekton pipeline": {
			labels:       texts{"tekton.dev/pipelineRun": "build-1", "tekton.dev/taskRun": "build-1-compile", "tekton.dev/pipelineTask": "compile"},
			wantWorkflow: "build-1", wantNode: "compile",
		},
		"Tekton pipeline, older": {
			labels:       texts{"tekton.dev/pipelineRun": "build-1", "tekton.dev/taskRun": "build-1-compile"},
			wantWorkflow: "build-1", wantNode: "build-1-compile",
		},
		"Tekton task alone": {
			labels:       texts{"tekton.dev/taskRun": "lint-1"},
			wantWorkflow: "lint-1", wantNode: "lint-1",
		},
		"Kubeflow Pipelines, on Argo": {
			labels:       texts{"pipeline/runid": "0b2f", "workflows.argoproj.io/workflow": "churn-x7k2p"},
			annotations:  texts{"workflows.argoproj.io/node-name": "churn-x7k2p.train"},
			wantWorkflow: "0b2f", wantNode: "churn-x7k2p.train",
		},
		"Kubeflow Pipelines, step with a name": {
			labels:       texts{"pipeline/runid": "0b2f"},
			annotations:  texts{"workflows.argoproj.io/node-name": "n", "pipelines.kubeflow.org/task_display_name": "Train model"},
			wantWorkflow: "0b2f", wantNode: "Train model",
		},
		"Airflow operator": {
			labels:       texts{"airflow_version": "3.0.1", "dag_id": "etl", "task_id": "load", "run_id": "manual__2025-01-01"},
			wantWorkflow: "etl/manual__2025-01-01", wantNode: "load",
		},
		"Airflow executor, unshortened": {
			labels:       texts{"airflow_version": "3.0.1", "dag_id": "etl-9f", "task_id": "load-7c"},
			annotations:  texts{"dag_id": "etl (all)", "task_id": "load/all", "run_id": "manual"},
			wantWorkflow: "etl (all)/manual", wantNode: "load/all",
		},
		"Airflow without a run": {
			labels:       texts{"airflow_version": "1.10.12", "dag_id": "etl", "task_id": "load"},
			wantWorkflow: "etl", wantNode: "load",
		},
		"Airflow's words, not Airflow": {
			labels:      texts{"dag_id": "etl", "task_id": "load", "run_id": "1"},
			annotations: texts{"dag_id": "etl"},
		},
		"annotations win": {
			labels:       texts{"workflows.argoproj.io/workflow": "hello"},
			annotations:  texts{prefix + "workflow": "mine", prefix + "node": "step", "workflows.argoproj.io/node-name": "n"},
			wantWorkflow: "mine", wantNode: "step",
		},
		"one annotation, one mark": {
			labels:       texts{"workflows.argoproj.io/workflow": "hello"},
			annotations:  texts{prefix + "workflow": "mine", "workflows.argoproj.io/node-name": "n"},
			wantWorkflow: "mine", wantNode: "n",
		},
		"other annotation, other mark": {
			labels:       texts{"workflows.argoproj.io/workflow": "hello"},
			annotations:  texts{prefix + "node": "step"},
			wantWorkflow: "hello", wantNode: "step",
		},
		"annotation without marks": {
			annotations:  texts{prefix + "workflow": "mine"},
			wantWorkflow: "mine",
		},
		"empty annotations": {
			labels:       texts{"tekton.dev/taskRun": "lint-1"},
			annotations:  texts{prefix + "workflow": " \n", prefix + "node": ""},
			wantWorkflow: "lint-1", wantNode: "lint-1",
		},
		"white space around": {
			annotations:  texts{prefix + "workflow": "  a b\n"},
			wantWorkflow: "a b",
		},
		"control characters": {
			annotations:  texts{prefix + "workflow": "a\nb\x00c\x1b[31md\x7f", prefix + "node": "x\u202ey\u2028z\u0085"},
			wantWorkflow: "a�b�c�[31md�", wantNode: "x�y�z",
		},
		"not UTF-8": {
			annotations:  texts{prefix + "workflow": "a\xff\xc3"},
			wantWorkflow: "a��",
		},
		"longest": {
			annotations:  texts{prefix + "workflow": strings.Repeat("ü", 253)},
			wantWorkflow: strings.Repeat("ü", 253),
		},
		"too long": {
			annotations:  texts{prefix + "workflow": strings.Repeat("ü", 254), prefix + "node": strings.Repeat("x", 100_000)},
			wantWorkflow: strings.Repeat("ü", 252) + "…", wantNode: strings.Repeat("x", 252) + "…",
		},
		"marks too": {
			labels:       texts{"airflow_version": "3", "dag_id": strings.Repeat("d", 300), "task_id": "a\tb"},
			wantWorkflow: strings.Repeat("d", 252) + "…", wantNode: "a�b",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			workflow, node := inject.Identify(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: tt.labels, Annotations: tt.annotations}})
			if workflow != tt.wantWorkflow || node != tt.wantNode {
				t.Errorf("Identify = %q, %q; want %q, %q", workflow, node, tt.wantWorkflow, tt.wantNode)
			}
		})
	}
}
