// Package policy holds the admission policies as they ship, so that the operator
// knows them when it sees them.
package policy

import "embed"

// Manifests are the *.yaml files of this folder: a policy and its binding in
// each, but for kustomization.yaml.
//
//go:embed *.yaml
var Manifests embed.FS
