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
# How a recipe gets the control plane, built once. In the recipe's own shell, so
# that the recipe ends where the build fails; an export of the output would hide
# that it did.
WITH_ASSETS := assets="$$(hack/controlplane/build.sh)"; export KUBEBUILDER_ASSETS="$$assets";
# Likewise the servers that test/kms runs against.
WITH_KMS := servers="$$(hack/kms/build.sh)"; export KMS_SERVERS="$$servers";
# And those that test/databases runs against.
WITH_DATABASES := databases="$$(hack/databases/fetch.sh)"; export DATABASE_SERVERS="$$databases";
FUZZTIME ?= 30s
# Flags of hack/bench: -only, -quick, -profiles DIR, -markdown PAGE.
BENCHFLAGS ?=
# The seed of `make endurance`; without one it is random, and printed.
SEED ?=

##@ General

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN {FS = ":.*##"} /^[a-z-]+:.*##/ {printf "  %-14s %s\n", $$1, $$2} /^##@/ {printf "\n%s\n", substr($$0, 5)}' $(MAKEFILE_LIST)

##@ Build

.PHONY: generate
generate: ## Generate deepcopy methods, the API reference and the list of providers.
	$(TOOL) controller-gen object paths=./api/...
	$(TOOL) crd-ref-docs --source-path=api/v1alpha1 --config=docs/api/config.yaml --renderer=markdown --output-path=docs/api/v1alpha1.md --log-level=ERROR
	go run ./hack/catalogue config/providers docs/usage/providers.md

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

.PHONY: kms
kms: ## Build the KMS servers that test/kms runs against (once).
	@hack/kms/build.sh

.PHONY: databases
databases: ## Fetch the database servers that test/databases runs against (once; needs apt).
	@hack/databases/fetch.sh

.PHONY: image
image: ## Build the container image (needs a container engine).
	docker build --build-arg VERSION=$(VERSION) -t usersecret-operator:$(VERSION) .

##@ See it

.PHONY: demo
demo: ## Show the main job on a real control plane, from nothing to done.
	@$(WITH_ASSETS) go run ./hack/demo

.PHONY: dev
dev: ## Start the same and stay, with kubeconfigs for alice, bob and an admin.
	@$(WITH_ASSETS) go run ./hack/dev

##@ Check it

.PHONY: test
test: ## Run all tests against a real kube-apiserver and etcd, real KMS and database servers.
	@$(WITH_ASSETS) $(WITH_KMS) $(WITH_DATABASES) \
	go test -p 2 -timeout 40m $(PACKAGES); \
	GODEBUG=fips140=only go test -count=1 -short ./internal/envelope ./internal/keyring ./internal/secretvalue; \
	GOEXPERIMENT=runtimesecret go test -count=1 -short ./internal/erasing ./internal/envelope

.PHONY: endurance
endurance: ## Kill, starve and crowd the operator, and print what came of it; SEED=n repeats a run.
	@hack/machine.sh
	@$(WITH_ASSETS) \
	go test -v -count=1 -timeout 60m ./test/endurance -ginkgo.v $(if $(SEED),-ginkgo.seed=$(SEED))

.PHONY: lint
lint: ## Run the linter.
	$(TOOL) golangci-lint run

.PHONY: verify
verify: ## Fail where generated files are not current, modules not tidy, or the linter complains.
	@hack/verify.sh

.PHONY: fuzz
fuzz: ## Run every fuzzer for FUZZTIME (default 30s) each.
	@hack/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: ## Measure the product beside its floors, about half an hour (BENCHFLAGS="-only c" for a part).
	@$(WITH_ASSETS) go run ./hack/bench $(BENCHFLAGS)

.PHONY: clean
clean: ## Remove what was built, but for the control plane and the KMS and database servers.
	rm -f bin/usersecret-operator bin/kubectl-usersecret
