// Package lab runs a real Kubernetes control plane on this machine: etcd and
// kube-apiserver, and where asked for kube-controller-manager, so that garbage
// collection and namespace deletion are what a cluster does. Test suites, the demo and
// the development set-up use it; nothing that ships imports it.
//
// A lab listens on free ports of 127.0.0.1 and keeps its files in one folder, so several may run
// side by side. It reads nothing of the user's: no kubeconfig, no home, no
// environment beyond KUBEBUILDER_ASSETS. Nothing outlives it: [Lab.Stop] ends every
// process that it started, and they end too when the calling process is killed.
//
// The package logs nothing; envtest underneath logs through controller-runtime, whose
// logger the caller sets.
package lab
