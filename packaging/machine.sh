#!/bin/sh
# Installs the built packages in a virtual machine with a Debian of its own, and
# uses tokend there as its users do: see packaging/machine/guest.
#
#   packaging/machine.sh
set -eu
cd "$(dirname "$0")/.."
go=$(packaging/go.sh)
out=build/machine
mkdir -p "$out/disk"

image=$(packaging/machine/image.sh)
echo "Building the packages, of this version and of the next." >&2
packaging/machine/debs.sh "$out/disk"
CGO_ENABLED=0 "$go" build -o "$out/disk/guest" ./packaging/machine/guest
CGO_ENABLED=0 "$go" build -o "$out/disk/virtual-token" ./tokens/tokentest/cmd/virtual-token
"$go" build -o "$out/machine" ./packaging/machine
tar -C "$out/disk" --owner=0 --group=0 -cf "$out/disk.tar" .
exec "$out/machine" -image "$image" -disk "$out/disk.tar" -console "$out/console.log"
