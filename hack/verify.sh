#!/usr/bin/env bash
# Regenerates everything that is generated, and fails where that changes a file
# that is committed, where modules are not tidy, or where the linter complains.
set -euo pipefail
cd "$(dirname "$0")/.."

before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
generated=(api/v1alpha1/zz_generated.deepcopy.go config/crd/bases config/rbac/role.yaml docs/api/v1alpha1.md docs/usage/providers.md)
keep() { for path in "${generated[@]}"; do [ ! -e "$path" ] || cp -r --parents "$path" "$before"; done; }

keep
make --no-print-directory generate manifests >/dev/null
stale=0
for path in "${generated[@]}"; do
	if [ -e "$path" ] && ! diff -ru "$before/$path" "$path"; then
		echo "$path is not current: run 'make generate manifests' and commit the result." >&2
		stale=1
	fi
done

for module in . hack/tools hack/controlplane/kubernetes hack/controlplane/etcd hack/kms/aws hack/kms/vault; do
	if diff=$(cd "$module" && go mod tidy -diff); then
		continue
	fi
	stale=1
	# go prints the diff on standard output, and what kept it from making one, as
	# a module that could not be fetched, on standard error.
	if [ -n "$diff" ]; then
		printf '%s\n%s\n' "$diff" "$module/go.mod is not tidy: run 'go mod tidy' there and commit the result." >&2
	else
		echo "$module/go.mod could not be checked: see above what go says." >&2
	fi
done

unformatted=$(git ls-files '*.go' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
	printf 'not formatted, run gofmt -w:\n%s\n' "$unformatted" >&2
	stale=1
fi
[ "$stale" = 0 ] || exit 1
make --no-print-directory lint
echo "Everything generated is current, modules are tidy, the linter is content."
