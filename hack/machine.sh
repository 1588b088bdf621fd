#!/usr/bin/env bash
# Prints the machine that figures were measured on.
set -euo pipefail
model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1)
memory=$(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo 2>/dev/null || echo "unknown memory")
printf 'machine: %s, %s cores, %s, %s, load %s\n' "${model:-$(uname -m)}" "$(getconf _NPROCESSORS_ONLN)" "$memory" "$(go version)" "$(cut -d' ' -f1 /proc/loadavg 2>/dev/null || echo unknown)"
