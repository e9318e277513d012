# Run once in the new root, by image.sh.
set -eu
echo machine >/etc/hostname
echo '127.0.0.1 localhost machine' >/etc/hosts
# Without one, systemd would take each boot for the first.
echo 00112233445566778899aabbccddeeff >/etc/machine-id
echo '/dev/vda / ext4 defaults 0 1' >/etc/fstab
mkdir -p /var/log/journal
for user in person other; do
	useradd -m -s /bin/bash "$user"
	echo "$user:$user" | chpasswd
done
chmod 440 /etc/sudoers.d/person
# Both may come by ssh: with a key, which the scenario makes.
systemctl enable ssh.service machine-unpack.service machine.service
systemctl mask serial-getty@ttyS0.service apt-daily.timer apt-daily-upgrade.timer \
	dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer man-db.timer
