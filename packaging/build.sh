#!/bin/sh
# Builds tokend, tokenctl and tokend-helper as they are shipped.
#
#   packaging/build.sh [FOLDER]     (default: bin)
#
# GO names the go command. VERSION is what the programs call themselves; without it
# they say what git knows.
set -eu
cd "$(dirname "$0")/.."
out=${1:-bin}
# Where nothing was built yet it is silent for long otherwise.
echo "Building tokend, tokenctl and tokend-helper; the first time this takes some minutes." >&2
go=${GO:-$(packaging/go.sh)}

# Go stamps the version and the commit into the programs where git can tell
# them: not in a source archive, nor in a tree that git does not trust.
vcs=false
if [ -z "${VERSION:-}" ] && [ -e .git ] && git status --porcelain >/dev/null 2>&1; then
	vcs=true
fi

# With this, what runtime/secret.Do covers is erased: registers, stack, heap.
# Where the platform cannot, the flag changes nothing.
GOEXPERIMENT=runtimesecret
export GOEXPERIMENT

tags=
flags='-s -w'
[ -z "${VERSION:-}" ] || flags="$flags -X main.version=$VERSION"
build() { # build CGO PROGRAM
	CGO_ENABLED=$1 "$go" build -tags "$tags" -trimpath -buildvcs=$vcs -ldflags "$flags" -o "$out/" "./cmd/$2"
}

# cgo says why the helper cannot be linked with the smart card library, or
# nothing when it can.
cgo() {
	if [ "${CGO_ENABLED:-1}" = 0 ]; then
		echo "CGO_ENABLED is 0"
		return
	fi
	cc=$("$go" env CC)
	if ! command -v "${cc%% *}" >/dev/null 2>&1; then
		echo "there is no C compiler (${cc%% *})"
		return
	fi
	case $("$go" env GOOS) in
	linux)
		if ! command -v pkg-config >/dev/null 2>&1; then
			echo "there is no pkg-config"
		elif ! pkg-config --exists libpcsclite; then
			echo "libpcsclite's development files are missing"
		elif [ "$("$go" env CGO_ENABLED)" = 0 ]; then
			echo "cgo is off"
		fi
		;;
	esac
}

# fido2 says why a helper with smart cards has to do without FIDO2 keys, or
# nothing when it need not, or cannot have them on this system at all.
fido2() {
	cc=$("$go" env CC)
	# shellcheck disable=SC2086 # a compiler with its flags
	if [ "$("$go" env GOOS)" = linux ] && ! printf '#include <fido.h>\n' | $cc -E - >/dev/null 2>&1; then
		echo "libfido2's development files are missing"
	fi
}

mkdir -p "$out"
build 0 tokend
build 0 tokenctl
why=$(cgo)
if [ -z "$why" ]; then
	why=$(fido2)
	if [ -n "$why" ]; then
		tags=nofido2
		echo "tokend-helper was built without FIDO2 keys: $why." >&2
	fi
	build 1 tokend-helper
else
	build 0 tokend-helper
	if [ "$("$go" env GOOS)" != windows ]; then
		echo "tokend-helper was built without smart cards and FIDO2 keys, with the software token only: $why." >&2
	fi
fi
