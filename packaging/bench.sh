#!/bin/sh
# Measures the programs in bin; ARGS are flags of packaging/bench.
set -eu
cd "$(dirname "$0")/.."
go=$(packaging/go.sh)
mkdir -p build
"$go" build -trimpath -buildvcs=false -o build/bench ./packaging/bench
# shellcheck disable=SC2086 # flags
build/bench -bin bin ${ARGS:-}
