#!/usr/bin/env bash
# Runs every fuzzer of the project, one after the other, for the time given.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}
found=0
while IFS=: read -r file name; do
	package=./$(dirname "$file")
	echo "== $package $name ($time)"
	go test "$package" -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 5s
	found=$((found + 1))
done < <(git grep -E '^func Fuzz[A-Za-z0-9_]+\(' -- '*_test.go' | sed -E 's/^([^:]+):func (Fuzz[A-Za-z0-9_]+)\(.*/\1:\2/')
[ "$found" -gt 0 ] || { echo "no fuzzer found" >&2; exit 1; }
echo "$found fuzzers ran for $time each."
