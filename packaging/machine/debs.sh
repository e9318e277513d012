#!/bin/sh
# Puts the package into FOLDER as first.deb, and as next.deb the same of a higher
# version, to be upgraded to.
#
#   packaging/machine/debs.sh FOLDER
#
# TOKEND_MACHINE_DEB names a package that is built already.
set -eu
cd "$(dirname "$0")/../.."
out=$1

deb=${TOKEND_MACHINE_DEB:-}
if [ -z "$deb" ]; then
	DEB_ONLY=yes packaging/packages.sh build/machine/packages
	deb=$(ls build/machine/packages/*.deb)
fi
cp "$deb" "$out/first.deb"
work=$(mktemp -d "${TMPDIR:-/tmp}/tokend-deb.XXXXXX")
trap 'rm -rf "$work"' EXIT
dpkg-deb -R "$deb" "$work/next"
sed -i 's/^Version: .*/&+next/' "$work/next/DEBIAN/control"
dpkg-deb -Zgzip -z1 --root-owner-group -b "$work/next" "$out/next.deb" >/dev/null
