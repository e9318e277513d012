#!/bin/sh
# Builds what people install: deb and rpm for this machine's processor, a zip and
# an msi for Windows, the source archive and Homebrew's formula for it.
#
#   packaging/packages.sh [FOLDER]     (default: build/packages)
#
# The version and the time that all bears come from git, or from VERSION (v1.2.3)
# and SOURCE_DATE_EPOCH where there is none, such as in a source archive. With
# DEB_ONLY=yes the deb alone is built, for who tries it at once. The same
# source with the same Go and the same C libraries gives the same bytes, in any
# folder at any time.
set -eu
cd "$(dirname "$0")/.."
out=${1:-build/packages}
umask 022
LC_ALL=C
TZ=UTC
export LC_ALL TZ
go=${GO:-$(packaging/go.sh)}
GO=$go
PATH=$(dirname "$go"):$PATH
export PATH GO

say() { echo "packages: $*" >&2; }

git=
if [ -e .git ] && git rev-parse HEAD >/dev/null 2>&1; then
	git=yes
fi
# The form that Go gives versions in.
if [ -z "${VERSION:-}" ]; then
	[ -n "$git" ] || { say "there is no git here: set VERSION and SOURCE_DATE_EPOCH"; exit 2; }
	VERSION=$(git describe --exact-match --match 'v[0-9]*' HEAD 2>/dev/null) ||
		VERSION=v0.0.0-$(git show -s --date=format-local:%Y%m%d%H%M%S --format=%cd HEAD)-$(git rev-parse --short=12 HEAD)
	[ -z "$(git status --porcelain)" ] || VERSION=$VERSION+dirty
fi
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
	[ -n "$git" ] || { say "there is no git here: set SOURCE_DATE_EPOCH"; exit 2; }
	SOURCE_DATE_EPOCH=$(git show -s --format=%ct HEAD)
fi
export VERSION SOURCE_DATE_EPOCH

# What comes before a release sorts before it: 1.0.0~rc.1, 0.0.0~2026….abc.
plain=${VERSION#v}
number=$(printf '%s' "$plain" | sed 's/-/~/; s/-/./g')
# Windows compares three numbers: without a release the day counts.
case $plain in
*-* | *+*) windows=0.0.$(((SOURCE_DATE_EPOCH - 1735689600) / 86400)) ;;
*) windows=$plain ;;
esac
arch=$("$go" env GOHOSTARCH)
say "$VERSION for linux/$arch and windows/amd64, into $out"

work=$out/work
rm -rf "$out"
mkdir -p "$work"
work=$(cd "$work" && pwd)
out=$(cd "$out" && pwd)

packaging/build.sh "$work/linux"
for library in libfido2.so libpcsclite.so; do
	# A package that had the software token alone would be taken for the real one.
	objdump -p "$work/linux/tokend-helper" | grep -q "NEEDED *$library" || {
		say "tokend-helper is not linked with $library: install what packaging/setup.sh packages names"
		exit 1
	}
done
[ -n "${DEB_ONLY:-}" ] || GOOS=windows GOARCH=amd64 CGO_ENABLED=0 packaging/build.sh "$work/windows"
packaging/documents.sh "$work/linux" "$work/docs"

# dated FOLDER: every file and folder of it bears the one time.
dated() { find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +; }

# Debian and rpm have zsh's completions and the notes of changes in different places.
ZSHDIR=/usr/share/zsh/vendor-completions packaging/stage.sh "$work/linux" "$work/docs" "$work/deb"
packaging/stage.sh "$work/linux" "$work/docs" "$work/rpm"
{
	printf 'tokend (%s-1) unstable; urgency=medium\n\n' "$number"
	printf '  * %s; what changed stands in the history of the source.\n\n' "$VERSION"
	printf ' -- The tokend maintainers <tokend@tokenbridge.github.io>  %s\n' "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$work/deb/usr/share/doc/tokend/changelog.Debian.gz"
mkdir -p "$work/deb/usr/share/lintian/overrides"
install -m 644 packaging/deb/lintian-overrides "$work/deb/usr/share/lintian/overrides/tokend"
dated "$work/deb"
dated "$work/rpm"

# The scripts are told which units can be enabled.
units=$(cd "$work/deb/usr/lib/systemd/system" && grep -l '^\[Install\]' -- *.socket *.service | tr '\n' ' ' | sed 's/ $//')
for script in deb/postinst deb/prerm deb/postrm rpm/post rpm/preun rpm/postun; do
	mkdir -p "$work/scripts/${script%/*}"
	sed "s/@UNITS@/$units/" "packaging/$script" >"$work/scripts/$script"
	chmod 755 "$work/scripts/$script"
done

# Which versions of the libraries are needed, Debian's own tool says.
mkdir -p "$work/shlibs/debian"
printf 'Source: tokend\n\nPackage: tokend\nArchitecture: any\n' >"$work/shlibs/debian/control"
depends=$(cd "$work/shlibs" && dpkg-shlibdeps -O "$work/linux/tokend-helper" 2>/dev/null | sed 's/^shlibs:Depends=//')
libc=$(objdump -T "$work/linux/tokend-helper" | grep -o 'GLIBC_[0-9.]*' | sort -u -V | tail -n 1)

# contents KIND: what is in the package. dpkg shares folders. rpm does not install what
# says of a folder what another package says otherwise, and polkit's rules.d, for one,
# is in places its daemon's alone: so of folders it gets ours only.
contents() {
	root='file_info: {owner: root, group: root'
	echo 'contents:'
	if [ "$1" = deb ]; then
		echo "  - {src: \"$work/deb\", dst: /, type: tree, $root}}"
		return 0
	fi
	(cd "$work/$1" && find . -type f -o -type d \( -path './etc/tokend' -o -path './usr/libexec/tokend' -o -path './usr/share/doc/tokend*' \)) |
		sed 's/^\.//' | sort | while read -r path; do
		type=file
		case $path in
		*/copyright | */THIRD-PARTY-LICENSES) type=license ;;
		/usr/share/doc/tokend/* | /usr/share/man/*) type=doc ;;
		esac
		file=$work/$1$path
		[ ! -d "$file" ] || type=dir
		echo "  - {src: \"$file\", dst: \"$path\", type: $type, $root, mode: 0$(stat -c %a "$file")}}"
	done
}

mkdir -p build/tools
"$go" build -C packaging/tools -trimpath -buildvcs=false -o "$PWD/build/tools/" github.com/goreleaser/nfpm/v2/cmd/nfpm
for kind in deb rpm; do
	[ "$kind" = deb ] || [ -z "${DEB_ONLY:-}" ] || continue
	sed "s|@ARCH@|$arch|; s|@VERSION@|$number|; s|@SCRIPTS@|$work/scripts|; s|@DEPENDS@|$depends|; s|@LIBC@|libc.so.6($libc)(64bit)|" \
		packaging/nfpm.yaml >"$work/nfpm.yaml"
	contents "$kind" >>"$work/nfpm.yaml"
	build/tools/nfpm package --config "$work/nfpm.yaml" --packager "$kind" --target "$out/" >&2
done

if [ -n "${DEB_ONLY:-}" ]; then
	rm -rf "$work"
	exit 0
fi

# Windows.
"$go" run ./packaging/sbom -version "$VERSION" -bom "$work/windows/sbom.cdx.json" -licences "$work/windows/THIRD-PARTY-LICENSES.txt" \
	"$work/windows/tokend.exe" "$work/windows/tokenctl.exe" "$work/windows/tokend-helper.exe"
install -m 644 README.md "$work/windows/README.md"
install -m 644 LICENSE "$work/windows/LICENSE.txt"
chmod 644 "$work/windows"/*.json "$work/windows"/*.txt
dated "$work/windows"
packaging/windows/msi.sh "$work/windows" "$VERSION" "$windows" "$out/tokend-$plain-windows-amd64.msi"
mkdir "$work/zip"
mv "$work/windows" "$work/zip/tokend-$plain"
(cd "$work/zip" && find . -type f | sed 's|^\./||' | sort | zip -q -X -D "$out/tokend-$plain-windows-amd64.zip" -@)

install -m 644 "$work/docs/sbom.cdx.json" "$out/tokend-$plain-linux-$arch.cdx.json"
install -m 644 "$work/zip/tokend-$plain/sbom.cdx.json" "$out/tokend-$plain-windows-amd64.cdx.json"

# Homebrew builds from source, which is what git has.
if [ -n "$git" ]; then
	source=tokend-$plain.tar.gz
	git archive --format=tar --prefix="tokend-$plain/" HEAD | gzip -9n >"$out/$source"
	sed "s|@VERSION@|$plain|g; s|@SOURCE@|$source|g; s|@SHA256@|$(sha256sum "$out/$source" | cut -d ' ' -f 1)|g; s|@EPOCH@|$SOURCE_DATE_EPOCH|g" \
		packaging/homebrew/tokend.rb >"$out/tokend.rb"
else
	say "there is no git here: no source archive and no formula"
fi

rm -rf "$work"
(cd "$out" && sha256sum -- * >SHA256SUMS)
say "done"
