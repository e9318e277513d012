#!/bin/sh
# Makes the Windows installer's package, with wixl and msibuild of msitools.
#
#   packaging/windows/msi.sh FOLDER VERSION NUMBER FILE
#
# FOLDER has what is installed; NUMBER is the version as the installer compares it,
# three numbers. SOURCE_DATE_EPOCH is the time that it bears. Two packages of the same content are equal, byte for byte.
set -eu
wxs=$(dirname "$0")/tokend.wxs
bin=$1
version=$2
number=$3
out=$4

# uuid TEXT: always the same for the same text.
uuid() {
	printf '%s' "$1" | sha256sum | sed 's/^\(.\{8\}\)\(.\{4\}\).\(.\{3\}\).\(.\{3\}\)\(.\{12\}\).*/\1-\2-5\3-8\4-\5/' | tr a-f A-F
}

content=$(cd "$bin" && sha256sum -- * | LC_ALL=C sort)
rm -f "$out"
wixl -a x64 -o "$out" -D ProductCode="$(uuid "tokend product $version")" \
	-D Version="$number" -D Name="$version" -D Bin="$bin" "$wxs"

# wixl knows no environment: the folder goes to the end of the system's PATH, and
# out of it at removal (=- and *, the installer's signs for that).
table=$(mktemp -d)
trap 'rm -rf "$table"' EXIT
printf 'Environment\tName\tValue\tComponent_\r\ns72\tl255\tL255\ts72\r\nEnvironment\tEnvironment\r\nPathEntry\t=-*PATH\t[~];[INSTALLDIR]\tClient\r\n' >"$table/Environment.idt"
msibuild "$out" -i "$table/Environment.idt" \
	-q "INSERT INTO InstallExecuteSequence (Action, Sequence) VALUES ('RemoveEnvironmentStrings', 3300)" \
	-q "INSERT INTO InstallExecuteSequence (Action, Sequence) VALUES ('WriteEnvironmentStrings', 5200)"

# wixl takes the package's code at random, and the time from the clock.
when=$(TZ=UTC date -d "@$SOURCE_DATE_EPOCH" '+%Y/%m/%d %H:%M:%S')
printf 'PropertyId\tValue\r\ni2\tl255\r\n_SummaryInformation\tPropertyId\r\n9\t{%s}\r\n12\t%s\r\n13\t%s\r\n' \
	"$(uuid "tokend package $version $content")" "$when" "$when" >"$table/_SummaryInformation.idt"
msibuild "$out" -i "$table/_SummaryInformation.idt"
