# Everything a person or CI runs. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# One build mode everywhere, so that packages shared with the control plane
# compile once.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath
export GOTOOLCHAIN := local
export GOWORK := off

TOOL := go tool -modfile=hack/tools/go.mod
PACKAGES := ./...
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
# Evaluated only where a recipe uses it: builds the control plane once.
ASSETS = $(shell hack/controlplane/build.sh)
FUZZTIME ?= 30s

##@ General

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN {FS = ":.*##"} /^[a-z-]+:.*##/ {printf "  %-14s %s\n", $$1, $$2} /^##@/ {printf "\n%s\n", substr($$0, 5)}' $(MAKEFILE_LIST)

##@ Build

.PHONY: generate
generate: ## Generate deepcopy methods and the API reference.
	$(TOOL) controller-gen object paths=./api/...
	$(TOOL) crd-ref-docs --source-path=api/v1alpha1 --config=docs/api/config.yaml --renderer=markdown --output-path=docs/api/v1alpha1.md --log-level=ERROR

.PHONY: manifests
manifests: ## Generate CRDs and the operator's RBAC.
	$(TOOL) controller-gen crd:maxDescLen=512 paths=./api/... output:crd:dir=config/crd/bases
	$(TOOL) controller-gen rbac:roleName=usersecret-operator paths=./controllers/... paths=./webhook/... paths=./internal/... paths=./cmd/... output:rbac:dir=config/rbac

.PHONY: build
build: ## Build the operator and the kubectl plugin into bin/.
	go build -ldflags "$(LDFLAGS)" -o bin/usersecret-operator ./cmd/usersecret-operator
	go build -ldflags "$(LDFLAGS)" -o bin/kubectl-usersecret ./cmd/kubectl-usersecret

.PHONY: controlplane
controlplane: ## Build kube-apiserver, kube-controller-manager, etcd and kubectl (once).
	@hack/controlplane/build.sh
