#!/bin/sh
# Makes what "make test-machine" boots: Debian as its users have it, with the
# services that tokend lives among, and none of ours.
#
#   packaging/machine/image.sh
#
# Prints the folder with root.img, vmlinuz and initrd. It lies in
# ${XDG_CACHE_HOME:-~/.cache}/tokend-machine, as does what was downloaded; each is
# made again when what it is made of changes. Needs root, or sudo without a
# password.
set -eu
cd "$(dirname "$0")"

release=bookworm
# Where it is fetched from; empty is the mirror that debootstrap knows.
mirror=${TOKEND_MACHINE_MIRROR:-}
packages='
	systemd systemd-sysv libpam-systemd dbus dbus-user-session udev polkitd
	pcscd libccid libpcsclite1 vsmartcard-vpcd libfido2-1 fido2-tools
	openssh-server openssh-client sudo passwd login util-linux kmod procps
	iproute2 busybox-static bash-completion man-db'
kernel=linux-image-cloud-amd64
# What is needed until the root is mounted.
modules='virtio_pci virtio_blk ext4'

cache=${XDG_CACHE_HOME:-$HOME/.cache}/tokend-machine
digest() { sha256sum | cut -c1-16; }
base=$cache/base-$(echo "$release $mirror $packages $kernel" | digest).tar
image=$cache/image-$({ echo "$base"; cat image.sh; find files -type f -exec sha256sum {} + | sort; } | digest)
if [ -e "$image/done" ]; then
	echo "$image"
	exit 0
fi

root=
[ "$(id -u)" -eq 0 ] || root='sudo -n'
mkdir -p "$cache"
work=$(mktemp -d "${TMPDIR:-/tmp}/tokend-machine.XXXXXX")
# debootstrap has mounted /proc in there if it was interrupted.
trap '$root umount "$work/root/proc" "$work/root/sys" 2>/dev/null || true; $root rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
began=$(date +%s)
failed() {
	echo "cannot make the machine's $1:" >&2
	tail -n 20 "$work/log" >&2
	exit 1
}

if [ ! -e "$base" ]; then
	echo "Fetching Debian $release for the machine; it is kept in $cache." >&2
	include=$(echo "$packages" | tr -s '\t\n ' ',' | sed 's/^,//; s/,$//')
	$root debootstrap --variant=minbase --include="$include" "$release" "$work/root" ${mirror:+"$mirror"} >"$work/log" 2>&1 || failed root
	# The kernel is unpacked only: its scripts would make an initrd for all there is.
	# Not over the root, where /lib is a link.
	# shellcheck disable=SC2016 # the other shell's own
	$root chroot "$work/root" sh -euc '
		cd /tmp
		apt-get download "$(apt-cache depends "$1" | sed -n "s/^ *Depends: *\(linux-image-.*\)/\1/p")"
		dpkg -x linux-image-*.deb kernel
		mv kernel/lib/modules /lib/
		mv kernel/boot/vmlinuz-* /boot/
		rm -rf kernel linux-image-*.deb
		apt-get clean
		rm -rf /var/lib/apt/lists/*' sh "$kernel" >>"$work/log" 2>&1 || failed kernel
	rm -f "$cache"/base-*.tar
	$root tar -C "$work/root" --one-file-system -cf - . >"$base.new"
	mv "$base.new" "$base"
	echo "Fetched in $(($(date +%s) - began)) s." >&2
else
	mkdir "$work/root"
	$root tar -C "$work/root" -xpf "$base"
fi
version=$(ls "$work/root/lib/modules")
$root chroot "$work/root" depmod "$version"

# What is ours of the machine: its users, and the unit that runs the scenario.
$root cp -r --no-preserve=ownership files/. "$work/root/"
$root chroot "$work/root" sh -eu /setup.sh >>"$work/log" 2>&1 || failed users
$root rm "$work/root/setup.sh"

mkdir -p "$work/new" "$work/initrd/bin" "$work/initrd/modules" "$work/initrd/proc" "$work/initrd/dev" "$work/initrd/root"
cp "$work/root/bin/busybox" "$work/initrd/bin/"
for module in $modules; do
	$root chroot "$work/root" modprobe -S "$version" --show-depends "$module"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$work/insmod"
while read -r path; do
	cp "$work/root/$path" "$work/initrd/modules/"
	echo "insmod /modules/$(basename "$path")"
done <"$work/insmod" >"$work/order"
cat >"$work/initrd/init" <<INIT
#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
$(cat "$work/order")
until mount -t ext4 /dev/vda /root; do sleep 0.1; done
umount /proc
mount --move /dev /root/dev
exec switch_root /root /sbin/init
INIT
chmod 755 "$work/initrd/init"
(cd "$work/initrd" && find . | cpio -o -H newc --quiet -R 0:0 | gzip -1) >"$work/new/initrd"
$root cat "$work/root/boot/vmlinuz-$version" >"$work/new/vmlinuz"
$root rm -rf "$work/root/boot"
truncate -s 2G "$work/new/root.img"
$root mkfs.ext4 -q -L machine -d "$work/root" "$work/new/root.img"

# One image is enough: older ones are of no use.
rm -rf "$cache"/image-*
mkdir "$image"
cp --sparse=always "$work/new/root.img" "$work/new/vmlinuz" "$work/new/initrd" "$image/"
touch "$image/done"
echo "The machine was made in $(($(date +%s) - began)) s." >&2
echo "$image"
