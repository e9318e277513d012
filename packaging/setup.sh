#!/bin/sh
# Installs what building, running, testing or measuring tokend lacks, and says
# what and why. Does nothing, in a few milliseconds, where nothing is missing.
#
#   packaging/setup.sh build|run|packages|test|machine|bench|wine
#
# Exit status: 0 all there, or only things missing that can be done without;
# 1 something is missing that cannot be done without.
set -eu

purpose=${1:-build}
case $purpose in
build) parts='build' ;;
run) parts='build run' ;;
packages) parts='build packages' ;;
test) parts='build run packages test' ;;
machine) parts='build packages machine' ;;
bench) parts='build run packages test bench' ;;
wine) parts='build wine' ;;
*)
	echo "usage: $0 build|run|packages|test|machine|bench|wine" >&2
	exit 2
	;;
esac

# One line a thing: part, how to see that it is there (a command's name, or an
# absolute path), Debian's and Ubuntu's package (a/b: the first that exists),
# yes when the purpose fails without it, and what it is for. Header files lie
# in the compiler's multiarch folders too, hence the patterns.
things() {
	cat <<'LIST'
build gcc                                        gcc                   no  compiles the part of tokend-helper that talks to smart cards
build /usr/include/stdlib.h                      libc6-dev             no  C headers for the same
build pkg-config                                 pkg-config/pkgconf    no  finds the smart card library
build /usr/include/PCSC/winscard.h               libpcsclite-dev       no  the smart card library that tokend-helper is linked with
build /usr/include/fido.h                        libfido2-dev          no  the FIDO2 library that tokend-helper is linked with
run   /usr/sbin/pcscd                            pcscd                 no  the smart card service, for a real token
run   /usr/lib/pcsc/drivers/ifd-ccid.bundle      libccid               no  its driver for USB tokens
packages objdump                                 binutils              yes reads which libraries tokend-helper needs
packages /usr/include/PCSC/winscard.h            libpcsclite-dev       yes the smart card library that tokend-helper is linked with
packages /usr/include/fido.h                     libfido2-dev          yes the FIDO2 library that tokend-helper is linked with
packages dpkg-shlibdeps                          dpkg-dev              yes says which versions of libraries the deb needs
packages zip                                     zip                   yes makes the archive for Windows
packages wixl                                    wixl                  yes makes the package for the Windows installer
packages msibuild                                msitools              yes adds to it what wixl does not know
test  lintian                                    lintian               yes checks the deb as Debian does
test  rpm                                        rpm                   yes reads the rpm, and installs it into roots of its own
test  cpio                                       cpio                  yes unpacks the rpm
test  mandoc                                     mandoc                yes checks the manual pages
test  man                                        man-db                yes shows them
test  zsh                                        zsh                   yes completes command lines
test  fish                                       fish                  yes the same, another one
test  /usr/share/bash-completion/bash_completion bash-completion       yes the same, bash
test  /usr/lib/pcsc/drivers/serial/libifdvpcd.so vsmartcard-vpcd       yes virtual card readers, on the real pcscd (adds two to this machine's own)
test  ykman                                      yubikey-manager       yes independent check of the virtual card, and proof that cards are shared
test  yubico-piv-tool                            yubico-piv-tool       yes independent check of the virtual card
test  opensc-tool                                opensc                yes independent check of the virtual card
test  fido2-token                                fido2-tools           yes independent check of the virtual FIDO2 key
test  umockdev-run                               umockdev              yes has libfido2 find virtual FIDO2 keys as it finds real ones
test  oathtool                                   oathtool              yes independent check of every code
test  age                                        age                   yes independent check of vault and backup files
test  /usr/bin/python3                           python3               yes runs the second reader of the vault format
test  /usr/lib/python3/dist-packages/cryptography python3-cryptography yes cryptography for the second reader
test  unshare                                    util-linux            yes gives each test's pcscd a namespace of its own
test  ip                                         iproute2              yes brings up the loopback device in there
test  curl                                       curl                  yes speaks to the socket as a foreign client
test  dbus-daemon                                dbus-daemon/dbus      yes private message buses, of the system's and a session's type, and the desktop's portal on one
test  dbus-monitor                               dbus-bin/dbus         yes listens on them as one user to what another's is
test  busctl                                     systemd               yes calls tokend on a bus as a foreign client
test  gdbus                                      libglib2.0-bin        yes calls tokend on a bus as a foreign client
test  /usr/lib/python3/dist-packages/dbus        python3-dbus          yes calls tokend on a bus as a foreign client
test  /usr/lib/python3/dist-packages/gi          python3-gi            yes waits for signals in that client
test  setpriv                                    util-linux            yes runs clients as other users
test  /usr/lib/polkit-1/polkitd                  polkitd/policykit-1   yes decides on a private bus who may change accounts
test  pkaction                                   polkitd/policykit-1   yes reads tokend's policy as polkit does
test  xmllint                                    libxml2-utils         yes checks the XML of interfaces and policies
test  /usr/bin/pinentry-tty                      pinentry-tty          yes asks for PINs in a terminal, for the agent in the session
test  pinentry-curses                            pinentry-curses       yes the same, another one
test  /usr/lib/python3/dist-packages/dbusmock    python3-dbusmock      yes plays logind on them
test  jq                                         jq                    yes reads JSON in the guides' examples
test  ssh                                        openssh-client        yes signs in with a code, as a guide's example does
test  openconnect                                openconnect           yes the same, a VPN's client
test  /usr/sbin/openvpn                          openvpn               yes the same, another one, and its server
test  systemd-analyze                            systemd               yes reads the units of a guide, and those that are installed
test  systemd-socket-activate                    systemd               yes starts the helper for each connection, as the machine's systemd does
test  pamtester                                  pamtester             yes asks the authority for passcodes as programs with PAM do
test  freeradius                                 freeradius            yes private RADIUS servers; the machine's own is not started
test  promtool                                   prometheus            yes checks the metrics; the machine's own Prometheus is not started
test  strace                                     strace                yes counts writes to the disk, looks for secrets in system calls
machine qemu-system-x86_64                       qemu-system-x86       yes is the machine
machine /usr/share/seabios/bios-256k.bin         seabios               yes its firmware
machine /usr/sbin/debootstrap                    debootstrap           yes fetches the Debian that is in it
machine /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring yes by which that is checked
machine mkfs.ext4                                e2fsprogs             yes makes its disk
machine cpio                                     cpio                  yes makes what it boots from
machine dpkg-deb                                 dpkg                  yes makes the package that is upgraded to
bench pass                                       pass                  yes to compare with
bench gpg                                        gnupg                 yes to compare with
bench /usr/lib/password-store/extensions/otp.bash pass-otp/pass-extension-otp yes to compare with
wine  /usr/lib/wine/wine64                       wine64                yes runs the programs for Windows
wine  x86_64-w64-mingw32-gcc                     gcc-mingw-w64-x86-64-win32 yes compiles the one function that this wine lacks
wine  wixl                                       wixl                  yes makes the package for the Windows installer
wine  msibuild                                   msitools              yes adds to it what wixl does not know
wine  oathtool                                   oathtool              yes independent check of every code
LIST
}

there() {
	case $1 in
	/usr/include/stdlib.h) # or the C library's headers are somewhere else and gcc knows
		[ -e "$1" ] || [ -n "$(ls -d /usr/include/*/stdlib.h 2>/dev/null)" ] || printf '#include <stdlib.h>\n' | cc -E - >/dev/null 2>&1
		;;
	/usr/include/PCSC/winscard.h)
		[ -e "$1" ] || pkg-config --exists libpcsclite 2>/dev/null || [ "$(uname -s)" = Darwin ]
		;;
	/usr/include/fido.h)
		[ -e "$1" ] || printf '#include <fido.h>\n' | cc -E - >/dev/null 2>&1 || [ "$(uname -s)" = Darwin ]
		;;
	/*) [ -e "$1" ] ;;
	*) command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ] ;;
	esac
}

# missing prints the lines of things that are wanted and not there.
missing() {
	things | while read -r part check package required why; do
		case " $parts " in *" $part "*) ;; *) continue ;; esac
		there "$check" || echo "$package|$required|$why"
	done
}

list() { # list LINES: for people
	echo "$1" | while IFS='|' read -r package required why; do
		printf '  %-22s %s\n' "${package%%/*}" "$why"
	done
}

# finish answers by what is still missing.
finish() {
	left=$(missing)
	[ -n "$left" ] || exit 0
	echo "Still missing for \"make $purpose\":" >&2
	list "$left" >&2
	if echo "$left" | grep -q '|yes|'; then
		exit 1
	fi
	echo "Going on without: what needs it is left out and says so." >&2
	exit 0
}

lacking=$(missing)
[ -n "$lacking" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "This is not Debian or Ubuntu: please install what these packages of theirs hold." >&2
	finish
fi

echo "Installing with apt-get what \"make $purpose\" lacks:"
list "$lacking"

root=
if [ "$(id -u)" -ne 0 ]; then
	root=sudo
	# Without a terminal a question for a password would wait for ever.
	[ -t 0 ] || root='sudo -n'
	if ! command -v sudo >/dev/null 2>&1 || ! $root true 2>/dev/null; then
		echo "That needs root, and this is neither root nor may it use sudo. As root:" >&2
		echo "  apt-get install $(echo "$lacking" | cut -d'|' -f1 | cut -d/ -f1 | tr '\n' ' ')" >&2
		finish
	fi
fi

apt() {
	# shellcheck disable=SC2086 # $root is a command with its flag, or nothing
	$root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# Packages that would start a service of the machine's own, where tests start
# theirs: it is started neither now nor at the next boot.
policy=/usr/sbin/policy-rc.d
held=
hold() { # hold PACKAGES
	for name in freeradius prometheus; do
		case " $* " in *" $name "*) held="$held $name" ;; esac
	done
	[ -n "$held" ] || return 0
	if [ -e "$policy" ]; then # somebody else's, such as a container's
		policy=
		return 0
	fi
	# shellcheck disable=SC2016 # the script's own $1
	printf '#!/bin/sh\ncase $1 in freeradius*|prometheus*) exit 101 ;; esac\n' | $root tee "$policy" >/dev/null
	$root chmod 755 "$policy"
}
release() {
	[ -n "$held" ] || return 0
	[ -z "$policy" ] || $root rm -f "$policy"
	for name in $held; do
		! [ -e "/etc/init.d/$name" ] || $root update-rc.d "$name" disable >/dev/null 2>&1 || true
	done
	held=
}

log=$(mktemp)
trap 'release; rm -f "$log"' EXIT
if ! apt update >"$log" 2>&1; then
	echo "apt-get update failed; trying with the package lists that are there:" >&2
	grep -E '^(E|W|Err)' "$log" | head -n 5 >&2 || tail -n 5 "$log" >&2
fi

# The first name of each that this release has.
packages=$(echo "$lacking" | cut -d'|' -f1 | while IFS=/ read -r first second; do
	if [ -n "$second" ] && ! apt-cache show "$first" >/dev/null 2>&1; then
		first=$second
	fi
	echo "$first"
done)
# shellcheck disable=SC2086 # one word a package
hold $packages
# shellcheck disable=SC2086 # one word a package
if ! apt install --no-install-recommends $packages >"$log" 2>&1; then
	echo "Not all could be installed at once; trying one by one." >&2
	for package in $packages; do
		if ! apt install --no-install-recommends "$package" >"$log" 2>&1; then
			echo "  $package: $(grep -E '^E:' "$log" | head -n 1)" >&2
		fi
	done
fi
release
finish
