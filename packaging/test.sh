#!/bin/sh
# Everything "make test" checks, in the order of how soon it tells something.
# PKGS chooses packages for the tests proper (default ./...).
#
# A test that is skipped fails the run where CI is set: there, all that the
# tests need can be installed.
# shellcheck disable=SC2086 # PKGS is a list of words
set -eu
cd "$(dirname "$0")/.."
go=$(packaging/go.sh)
# Tests start "go build" and the like: they get the same Go.
PATH=$(dirname "$go"):$PATH
export PATH
# A program with the race detector in it would else sleep for a second before it
# ends, and the tests start hundreds.
GORACE="atexit_sleep_ms=0 ${GORACE:-}"
export GORACE
PKGS=${PKGS:-./...}
mkdir -p build
began=$(date +%s)
say() { echo "== $*"; }

say "gofmt"
unformatted=$(find . -name '*.go' -not -path './build/*' -exec gofmt -l {} +)
if [ -n "$unformatted" ]; then
	echo "not formatted: $unformatted"
	exit 1
fi

say "vet: this system with cgo; linux, darwin, windows and freebsd without"
go vet $PKGS
for system in linux darwin windows freebsd; do
	GOOS=$system CGO_ENABLED=0 go vet $PKGS
done

say "the programs as they are shipped, and \"make run\" without a terminal"
packaging/build.sh build/test/bin
packaging/run_test.sh build/test/bin

say "tests: with the race detector; hardened as shipped; without cgo"
go build -o build/testreport ./packaging/testreport
noskip=
[ -z "${CI:-}" ] || noskip=-noskip
rm -f build/test-failed
{
	# Most tests wait: for cards, keys and people. So more run at once than there
	# are processors. scrypt shares nothing and takes four times as long when it is
	# watched for races, so it alone is not.
	go test -race -gcflags=golang.org/x/crypto/scrypt=-race=false -count=1 -p 3 -timeout 70m -json $PKGS || touch build/test-failed
	# What only differs by how it is built is tested again as it is built.
	if [ "$PKGS" = ./... ]; then
		GOEXPERIMENT=runtimesecret go test -count=1 -timeout 15m -json ./daemon/secret ./daemon/otp ./daemon/archive ./daemon/vault || touch build/test-failed
		GOEXPERIMENT=runtimesecret TOKEND_TEST_NORACE=1 go test -count=1 -timeout 15m -json \
			-run 'Tour|MainJob|NoSecretLeaks|PCSCDKilled|CardPulled' ./cmd/internal/e2e || touch build/test-failed
		CGO_ENABLED=0 go test -count=1 -timeout 15m -json ./tokens/soft ./tokens/helper ./cmd/tokend-helper ./daemon/secret || touch build/test-failed
	fi
} | build/testreport $noskip || touch build/test-failed

took=$(($(date +%s) - began))
if [ -e build/test-failed ]; then
	echo "make test: FAILED after $((took / 60)) min $((took % 60)) s"
	exit 1
fi
echo "make test: all is well after $((took / 60)) min $((took % 60)) s"
