#!/bin/sh
# Makes of an rpm the same one with a higher release, to be upgraded to.
#
#   packaging/rpm/next.sh RPM FILE
set -eu
rpm=$1
out=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/tokend-rpm.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/files"
# The names in there are absolute: without the flag this would write over the system.
rpm2cpio "$rpm" | (cd "$work/files" && cpio -idm --quiet --no-absolute-filenames 2>/dev/null)

# script NAME TAG: a % is doubled, for a spec has macros.
script() { printf '\n%%%s\n%s\n' "$1" "$(rpm -qp --qf "%{$2}" "$rpm" | sed 's/%/%%/g')"; }
{
	rpm -qp --qf 'Name: %{NAME}\nVersion: %{VERSION}\nRelease: %{RELEASE}.next\nSummary: %{SUMMARY}\nLicense: %{LICENSE}\nAutoReqProv: no\n' "$rpm"
	rpm -qp --requires "$rpm" | grep -v '^rpmlib' | sed 's/^/Requires: /'
	printf '%%description\nThe next one.\n%%install\ncp -a %s/. %%{buildroot}/\n' "$work/files"
	script post POSTIN
	script preun PREUN
	script postun POSTUN
	printf '\n%%files\n%%defattr(-,root,root)\n'
	rpm -qp --qf '[%{FILEMODES:perms} %{FILENAMES}\n]' "$rpm" | sed 's/^d[^ ]*/%dir/; t; s/^[^ ]* //'
} >"$work/next.spec"
rpmbuild -bb --quiet --define "_topdir $work" --define "_rpmdir $work" --define '_rpmfilename next.rpm' --define 'debug_package %{nil}' \
	--define '__os_install_post %{nil}' --define '_build_id_links none' "$work/next.spec" >"$work/log" 2>&1 || {
	cat "$work/log" >&2
	exit 1
}
cp "$work/next.rpm" "$out"
