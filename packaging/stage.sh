#!/bin/sh
# Lays what an installation on Linux consists of into a folder, as it lies on a
# machine. Packages are made from that; a distribution's own can use it too.
#
#   packaging/stage.sh BIN DOCS DEST
#
# BIN has the built programs, DOCS what packaging/documents.sh wrote. ZSHDIR is
# where the system's zsh looks for completions.
set -eu
cd "$(dirname "$0")/.."
bin=$1
docs=$2
dest=$3
umask 022

# put MODE FOLDER FILE...: files that are not there, for a glob was not met, are left out.
put() {
	mode=$1
	folder=$dest$2
	shift 2
	for file in "$@"; do
		[ -f "$file" ] || continue
		mkdir -p "$folder"
		install -m "$mode" "$file" "$folder/"
	done
}

put 755 /usr/bin "$bin/tokend" "$bin/tokenctl"
put 755 /usr/libexec/tokend "$bin/tokend-helper"
put 644 /usr/lib/systemd/system packaging/systemd/system/*.service packaging/systemd/system/*.socket packaging/systemd/system/*.path packaging/systemd/system/*.target packaging/systemd/system/*.timer
put 644 /usr/lib/systemd/user packaging/systemd/user/*
put 644 /usr/lib/sysusers.d packaging/sysusers.d/*.conf
put 644 /usr/lib/tmpfiles.d packaging/tmpfiles.d/*.conf
put 644 /usr/lib/udev/rules.d udev/*.rules
put 644 /usr/share/dbus-1/system.d packaging/dbus/*.conf
put 644 /usr/share/dbus-1/system-services packaging/dbus/system-services/*.service
put 644 /usr/share/dbus-1/services packaging/dbus/services/*.service
put 644 /usr/share/polkit-1/actions packaging/polkit/*.policy
put 644 /usr/share/polkit-1/rules.d packaging/polkit/*.rules

put 644 /usr/share/man/man1 "$docs"/man/*.1.gz
put 644 /usr/share/man/man5 "$docs"/man/*.5.gz
put 644 /usr/share/man/man8 "$docs"/man/*.8.gz
put 644 /usr/share/bash-completion/completions "$docs/completions/tokenctl"
put 644 "${ZSHDIR:-/usr/share/zsh/site-functions}" "$docs/completions/_tokenctl"
put 644 /usr/share/fish/vendor_completions.d "$docs/completions/tokenctl.fish"
put 644 /usr/share/doc/tokend README.md docs/*.md
put 644 /usr/share/doc/tokend/examples "$docs/tokend.toml" packaging/systemd/examples/*
put 644 /usr/share/doc/tokend "$docs/sbom.cdx.json" "$docs/THIRD-PARTY-LICENSES" "$docs/copyright"

# The administrator's own file goes in here; none is laid there.
mkdir -p "$dest/etc/tokend"
