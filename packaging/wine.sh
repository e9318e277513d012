#!/bin/sh
# Runs under wine what is built for Windows: the tests of packages, and the three
# programs as their users do. docs/platforms.md says what that shows, and what not.
# PKGS chooses other packages. Needs wine64, gcc-mingw-w64-x86-64-win32, wixl and msitools (packaging/setup.sh wine).
#
#   packaging/wine.sh          all of it
#   packaging/wine.sh PROGRAM  a shell or another program, with everything prepared and
#                              $TOKEND_TEST_WINE/run, which runs programs for Windows
set -eu
cd "$(dirname "$0")/.."
go=$(packaging/go.sh)
PATH=$(dirname "$go"):$PATH
export PATH
say() { echo "== $*"; }

# find NAME: a program of wine's that is in PATH, or where Debian's wine64 has it.
find_wine() {
	command -v "$1" || ls "/usr/lib/wine/$1" "/usr/lib/wine/${1}64" 2>/dev/null | head -n 1
}
wine=$(command -v wine64 || find_wine wine64)
server=/usr/lib/wine/wineserver64
[ -x "$server" ] || server=$(find_wine wineserver)
[ -n "$wine" ] && [ -n "$server" ] || {
	echo "wine is missing: packaging/setup.sh wine" >&2
	exit 1
}

dir=$(mktemp -d /tmp/tokend-wine-XXXXXX)
WINEPREFIX=$dir/prefix WINESERVER=$server WINEDEBUG=-all
# No browser engine and no .NET, for which it would ask.
WINEDLLOVERRIDES='mscoree,mshtml='
TOKEND_TEST_WINE=$dir
export WINEPREFIX WINESERVER WINEDEBUG WINEDLLOVERRIDES TOKEND_TEST_WINE
end() {
	"$server" -k 2>/dev/null || true
	"$server" -w 2>/dev/null || true
	rm -rf "$dir"
}
trap end EXIT
trap 'exit 130' INT TERM
mkdir "$dir/prefix" "$dir/home" "$dir/bin"

# wine gives users' folders from HOME: not those of whoever runs this.
cat >"$dir/run" <<EOF
#!/bin/sh
HOME='$dir/home' exec '$wine' "\$@"
EOF
chmod 755 "$dir/run"

say "a machine of wine's"
# A program that waits for two minutes for this wine's first boot has it boot once
# more, and then there are two service managers, each with services of its own. So all
# that is begun here is ended before anything else begins.
HOME=$dir/home "$wine" wineboot -i >"$dir/boot.log" 2>&1 || {
	cat "$dir/boot.log" >&2
	exit 1
}
"$server" -w
"$server" -p # stays until the end, for the next program to start at once
"$dir/run" cmd /c exit
x86_64-w64-mingw32-gcc -Wall -Werror -O -s -shared -o "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll" packaging/wine/bcryptprimitives.c -ladvapi32
for program in hold control; do
	x86_64-w64-mingw32-gcc -Wall -Werror -O -s -o "$dir/bin/$program.exe" packaging/wine/$program.c
done

say "the programs for Windows"
GOOS=windows GOARCH=amd64 CGO_ENABLED=0 go build -o "$dir/bin/" ./cmd/tokend ./cmd/tokenctl ./cmd/tokend-helper

say "packages for the installer, of two versions"
for number in 1.2.3 1.2.4; do
	mkdir "$dir/$number"
	cp "$dir/bin/tokend.exe" "$dir/bin/tokenctl.exe" "$dir/bin/tokend-helper.exe" README.md "$dir/$number/"
	# What other files say is no matter here.
	for file in LICENSE.txt THIRD-PARTY-LICENSES.txt sbom.cdx.json; do
		cp LICENSE "$dir/$number/$file"
	done
	# What follows a program's end changes nothing but the file.
	printf %s "$number" >>"$dir/$number/tokend.exe"
	SOURCE_DATE_EPOCH=1790000000 packaging/windows/msi.sh "$dir/$number" "v$number" "$number" "$dir/$number.msi"
done

if [ $# -gt 0 ]; then
	"$@"
	exit
fi

failed=
# Go deletes open files by a call that wine 8 answers with "not implemented", which
# Go does not take for "not there" and so does not do it in another way. The tests'
# temporary folders are removed so; tests, not the programs, are built to use the
# other way at once.
mkdir "$dir/go"
at=$(go env GOROOT)/src/internal/syscall/windows/at_windows.go
sed 's/^var TestDeleteatFallback bool/var TestDeleteatFallback = true/' "$at" >"$dir/go/at_windows.go"
cmp -s "$at" "$dir/go/at_windows.go" && {
	echo "Go has changed: see what is said here of deleting files" >&2
	exit 1
}
printf '{"Replace": {"%s": "%s"}}\n' "$at" "$dir/go/at_windows.go" >"$dir/go/overlay.json"

say "tests of packages"
# What wine cannot run is left out by name; packaging/wine/except says why.
except=$(sed 's/#.*//' packaging/wine/except | tr -s ' \n' '|' | sed 's/^|//; s/|$//')
# shellcheck disable=SC2046 # one word a package
GOOS=windows GOARCH=amd64 CGO_ENABLED=0 go test -overlay "$dir/go/overlay.json" -count=1 -vet=off -p 2 -timeout 15m -skip "^($except)\$" -exec "$dir/run" ${PKGS:-$(sed 's/#.*//' packaging/wine/packages)} || failed=1

say "the programs, and backups between them and those of this system"
go vet -tags wine ./cmd/internal/e2e/wine
go test -count=1 -vet=off -tags wine -timeout 15m ./cmd/internal/e2e/wine || failed=1

[ -z "$failed" ] || exit 1
