#!/usr/bin/env bash
# Prints the folder that holds aws-kms and vault, the servers that test/kms runs
# against, building them first where they are missing.
#
# Everything comes from the Go module proxy at the versions that the go.mod files
# in this folder pin; binaries are kept by version and source below bin/, which git
# ignores.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
say() { printf '%s\n' "$*" >&2; }

# Same build mode as the rest of the project, so that shared packages compile once.
export CGO_ENABLED=0 GOFLAGS=-trimpath GOWORK=off GOTOOLCHAIN=${GOTOOLCHAIN:-local}

version_of() { (cd "$here/$1" && go list -m -f '{{.Version}}' "$2"); }
vault=$(version_of vault github.com/hashicorp/vault)
sources=$(cat "$here"/*/*.go "$here"/*/go.mod | cksum | cut -d' ' -f1)
out="$root/bin/kms/vault-$vault-sources-$sources-$(go env GOOS)-$(go env GOARCH)"
mkdir -p "$out"

# Two runs at once (make -j, two shells) must not build side by side.
exec 9>"$out/.lock"
flock 9

# Built beside its final name and moved, so that an interrupted build leaves nothing half done.
build() { # module folder, binary
	[ ! -x "$out/$2" ] || return 0
	local started=$SECONDS
	(cd "$here/$1" && go build -ldflags "-s -w" -o "$out/.$2.partial" .)
	mv "$out/.$2.partial" "$out/$2"
	say "  $2: $((SECONDS - started)) s"
}
if [ ! -x "$out/aws-kms" ] || [ ! -x "$out/vault" ]; then
	say "Building the servers of test/kms (Vault $vault and an AWS-KMS-compatible one) into ${out#"$root"/}; this happens once."
	build aws aws-kms
	build vault vault
fi
printf '%s\n' "$out"
