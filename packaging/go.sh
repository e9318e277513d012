#!/bin/sh
# Prints the path of a go command that can build this module: the one that is
# installed or, where that is too old, the toolchain go.mod asks for, fetched
# and checked by the installed one as a module is.
set -eu
cd "$(dirname "$0")/.."

least=$(awk '$1 == "go" { print $2; exit }' go.mod)
wanted=$(awk '$1 == "toolchain" { print $2; exit }' go.mod)
wanted=${wanted:-go$least}

go=$(command -v go || true)
for path in /usr/local/go/bin/go /usr/lib/go/bin/go /snap/bin/go; do
	# sudo and bare shells often have no /usr/local/go/bin in PATH.
	[ -n "$go" ] || [ ! -x "$path" ] || go=$path
done
if [ -z "$go" ]; then
	echo "Go is missing: install it from https://go.dev/doc/install (or apt-get install golang-go;" >&2
	echo "an old one will do, it fetches Go $least by itself)." >&2
	exit 1
fi

# at_least A B: version A is B or later.
at_least() {
	[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# Outside the module, so that the installed go answers for itself.
have=$(cd / && GO111MODULE=off GOTOOLCHAIN=local "$go" version | awk '{ sub("^go", "", $3); print $3 }')
if at_least "$have" "$least"; then
	echo "$go"
	exit 0
fi

if at_least "$have" 1.21; then
	[ "${GOTOOLCHAIN:-}" = local ] || [ "${GOTOOLCHAIN:-}" = path ] || GOTOOLCHAIN=$wanted
	root=$(cd / && GOTOOLCHAIN=$GOTOOLCHAIN "$go" env GOROOT)
	if ! at_least "$("$root/bin/go" version | awk '{ sub("^go", "", $3); print $3 }')" "$least"; then
		echo "Go $have is too old (at least $least is needed), and GOTOOLCHAIN=$GOTOOLCHAIN forbids fetching another." >&2
		exit 1
	fi
	echo "$root/bin/go"
	exit 0
fi

# Before Go 1.21 a toolchain is but a module: it is fetched and its checksum
# verified, only the permission to execute must be given by hand.
system=$(cd / && "$go" env GOOS GOARCH | paste -sd-)
module=golang.org/toolchain@v0.0.1-$wanted.$system
root=$(cd / && "$go" env GOMODCACHE)/$module
if [ ! -x "$root/bin/go" ]; then
	echo "Go $have is too old (at least $least is needed): fetching $wanted." >&2
	# Downloading needs a module to stand in.
	here=$(mktemp -d)
	trap 'rm -rf "$here"' EXIT
	(cd "$here" && "$go" mod init fetch && "$go" mod download "$module") >"$here/log" 2>&1 || {
		cat "$here/log" >&2
		echo "cannot fetch $wanted; install it from https://go.dev/doc/install" >&2
		exit 1
	}
	chmod -R u+w "$root"
	find "$root/bin" "$root/pkg/tool" -type f -exec chmod +x {} +
fi
echo "$root/bin/go"
