#!/usr/bin/env bash
# Prints the folder that holds a PostgreSQL and a MariaDB server, unpacked from the
# distribution's packages, fetching them first where they are missing.
#
# DATABASE_SERVERS, where set, is printed instead and nothing is fetched.
# The packages come from the sources that /etc/apt names, signed as apt demands.
# Nothing is installed and nothing of the host is changed, so no root is needed:
# packages are unpacked below bin/, which git ignores, with those of the libraries
# that they need and the host lacks. The folder's root/ is what
# they hold, and its lib/ has links to the libraries.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
say() { printf '%s\n' "$*" >&2; }

# The programs that tests start, as names to find below the folder.
programs=(postgres initdb mariadbd)
program() { find "$1/root/usr" -name "$2" \( -type f -o -type l \) -perm -u+x -print -quit 2>/dev/null; }
complete() {
	local name
	for name in "${programs[@]}"; do
		if [ -z "$(program "$1" "$name")" ]; then
			say "$1 has no $name."
			return 1
		fi
	done
}

if [ -n "${DATABASE_SERVERS:-}" ]; then
	if ! complete "$DATABASE_SERVERS"; then
		say "DATABASE_SERVERS is $DATABASE_SERVERS, which this script did not make: unset it to fetch the servers."
		exit 1
	fi
	printf '%s\n' "$DATABASE_SERVERS"
	exit 0
fi
for tool in apt-get apt-cache dpkg dpkg-deb; do
	if ! command -v "$tool" >/dev/null; then
		say "The database servers come from Debian's or Ubuntu's packages, but $tool is not here."
		say "Run this where it is, or set DATABASE_SERVERS to a folder that was made there."
		exit 1
	fi
done

system=$(. /etc/os-release && printf '%s-%s' "$ID" "${VERSION_ID:-testing}")
out="$root/bin/databases/$system-$(dpkg --print-architecture)-script-$(cksum <"${BASH_SOURCE[0]}" | cut -d' ' -f1)"
mkdir -p "$out"

# Two runs at once (make -j, two shells) must not fetch side by side.
exec 9>"$out/.lock"
flock 9

if [ -e "$out/.complete" ]; then
	printf '%s\n' "$out"
	exit 0
fi
started=$SECONDS
say "Fetching PostgreSQL and MariaDB from the distribution's packages into ${out#"$root"/}; this happens once."
work=$(mktemp -d "$out/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Everything that apt writes goes below $work. As root apt would fetch as another
# user, who may not write there.
mkdir -p "$work/cache/archives/partial" "$work/state/lists/partial" "$work/packages"
apt=(-q -o "Dir::Cache=$work/cache" -o APT::Sandbox::User= -o Debug::NoLocking=1)

# wanted prints the servers' packages, and the libraries below them that the host
# lacks. LLVM is for PostgreSQL's just-in-time compiler alone, which tests leave off.
wanted() {
	local postgres
	postgres=$(apt-cache "${apt[@]}" depends postgresql | sed -n 's/^ *Depends: \(postgresql-[0-9]*\)$/\1/p' | head -n 1)
	[ -n "$postgres" ] || return 1
	# One call for all of them: where apt keeps no cache, each reads the lists anew.
	apt-cache "${apt[@]}" depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances \
		"$postgres" mariadb-server-core |
		awk -v roots="$postgres mariadb-server-core" -v installed="$(dpkg-query -W -f '${db:Status-Status} ${Package} ' 2>/dev/null)" '
			/^[a-z]/ { package = $1; real[package] = 1 }
			/^ [ |](Pre)?Depends: [a-z0-9.+-]+$/ { depends[package] = depends[package] " " $NF }
			END {
				n = split(installed, word, " ")
				for (i = 1; i < n; i += 2) if (word[i] == "installed") have[word[i + 1]] = 1
				n = split(roots, queue, " ")
				for (i = 1; i <= n; i++) {
					name = queue[i]
					if (name in seen || !(name in real) || name ~ /^libllvm/ || (name ~ /^lib/ && name in have)) continue
					seen[name] = 1
					print name
					m = split(depends[name], below, " ")
					for (j = 1; j <= m; j++) if (below[j] ~ /^lib/) queue[++n] = below[j]
				}
			}'
}

download() {
	local packages
	packages=$(wanted) || return 1
	[[ $packages == *mariadb-server-core* ]] || return 1
	# shellcheck disable=SC2086 # one word a package
	(cd "$work/packages" && rm -f ./*.deb && apt-get "${apt[@]}" download $packages >&2)
}

# With the host's lists where it has them; they may be missing, or so old that the
# packages they name are gone.
if ! download; then
	say "The host's package lists do not do: fetching lists of our own."
	apt+=(-o "Dir::State=$work/state" -o "Dir::State::status=/var/lib/dpkg/status")
	apt-get "${apt[@]}" update >&2
	download
fi

for package in "$work"/packages/*.deb; do
	dpkg-deb -x "$package" "$work/root"
done
mkdir "$work/lib"
find "$work/root" -name 'lib*.so.*' -path '*/lib/*-linux-*' \
	-exec sh -c 'for f; do ln -sf "../${f#"$0"/}" "$0/lib/"; done' "$work" {} +
complete "$work"

# What a program still lacks is known here, not when a test starts it.
for name in postgres initdb mariadbd; do
	if lacks=$(LD_LIBRARY_PATH="$work/lib" ldd "$(program "$work" "$name")" | grep 'not found'); then
		say "$name lacks libraries:"
		say "$lacks"
		exit 1
	fi
done
rm -rf "$out/root" "$out/lib"
mv "$work/root" "$work/lib" "$out/"
touch "$out/.complete"
say "  $(find "$work/packages" -name '*.deb' | wc -l) packages, $(du -sm "$work/packages" | cut -f1) MiB, $(du -sm "$out/root" | cut -f1) MiB unpacked: $((SECONDS - started)) s"
printf '%s\n' "$out"
