#!/bin/sh
# Writes what goes with the programs, from the programs: manual pages, completions,
# the sample of the configuration, the bill of materials, the licences.
#
#   packaging/documents.sh BIN OUT
#
# BIN has programs that run here. VERSION and SOURCE_DATE_EPOCH are what the
# documents bear.
set -eu
cd "$(dirname "$0")/.."
bin=$1
out=$2
go=${GO:-$(packaging/go.sh)}
umask 022
rm -rf "$out"
mkdir -p "$out/man" "$out/completions"

"$go" run ./packaging/manual -bin "$bin" -out "$out/man" -version "$VERSION" \
	-date "$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%d)"
gzip -9n "$out"/man/*

"$bin/tokenctl" completion bash >"$out/completions/tokenctl"
"$bin/tokenctl" completion zsh >"$out/completions/_tokenctl"
"$bin/tokenctl" completion fish >"$out/completions/tokenctl.fish"
"$bin/tokend" config sample >"$out/tokend.toml"

"$go" run ./packaging/sbom -version "$VERSION" -bom "$out/sbom.cdx.json" -licences "$out/THIRD-PARTY-LICENSES" \
	"$bin/tokend" "$bin/tokenctl" "$bin/tokend-helper"

cat >"$out/copyright" <<EOT
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: tokend
Source: https://github.com/tokenbridge/tokend
Comment: The programs contain modules of others, under the terms that
 /usr/share/doc/tokend/THIRD-PARTY-LICENSES has in full.

Files: *
Copyright: the authors of tokend
License: Apache-2.0
 On Debian systems the full text of the Apache License, version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
EOT
