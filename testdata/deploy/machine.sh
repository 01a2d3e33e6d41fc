#!/bin/sh
# Boots a copy of this machine, with a systemd of its own and no network but the loopback:
#
#     unshare --mount --net --pid --uts --ipc --fork --kill-child sh machine.sh FOLDER CGROUP
#
# Nothing that it writes lasts: its disk is in memory, over this machine's, which it cannot change. Neither can
# it set the clock or kernel parameters, load modules or see devices.
set -eu
folder=$1 cgroup=$2
echo 0 >"$cgroup/cgroup.procs"
mount --make-rprivate /
mount -t tmpfs -o mode=755 machine "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay -o lowerdir=/,upperdir="$folder/upper",workdir="$folder/work" machine "$folder/root"
cd "$folder/root"
ip link set lo up
hostname machine

mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for device in "null 3" "zero 5" "full 7" "random 8" "urandom 9"; do
	mknod -m 666 "dev/${device% *}" c 1 "${device#* }"
done
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd

# What has no business in a copy, and a target with little more than the journal.
mkdir -p run/systemd/system
for unit in systemd-timesyncd.service systemd-udevd.service systemd-udev-trigger.service systemd-udevd-kernel.socket \
	systemd-udevd-control.socket systemd-journald-audit.socket; do
	ln -s /dev/null "run/systemd/system/$unit"
done
printf '[Unit]\nRequires=sysinit.target\nAfter=sysinit.target\n' >run/systemd/system/machine.target
rm -f usr/sbin/policy-rc.d # which keeps packages from starting services
echo '127.0.0.1 localhost app.example.com' >etc/hosts

# The cgroup is the copy's root, once it is in a namespace of its own.
exec unshare --cgroup sh -c '
	mount -t cgroup2 cgroup2 sys/fs/cgroup
	exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . setpriv \
		--bounding-set -sys_time,-sys_module,-sys_boot,-sys_rawio,-syslog,-audit_control,-audit_read \
		/lib/systemd/systemd --unit=machine.target'
