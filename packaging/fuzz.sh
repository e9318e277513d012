#!/bin/sh
# Runs every fuzz target for FUZZTIME (default 30s), one after the other.
set -eu
cd "$(dirname "$0")/.."
go=$(packaging/go.sh)
status=0
for package in $("$go" list "${PKGS:-./...}"); do
	for target in $("$go" test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "== $package $target"
		"$go" test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-30s}" "$package" || status=1
	done
done
exit $status
