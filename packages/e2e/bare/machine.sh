#!/bin/bash
# machine.sh TREE INPUT OUTPUT: runs /e2e/in/run on a machine whose disk, an ext4 file system in
# memory, is a copy of TREE. The directories INPUT and OUTPUT are /e2e/in and /e2e/out there. The
# machine has its own processes, mounts, cgroups, IPC objects and host name, but uses the host's
# network. It ends with this script, which has to be run by `unshare --mount`, in a new cgroup.
set -euo pipefail

# The first process inside: bash, which reaps the processes that it inherits.
if [ "${1-}" = --init ]; then
    cd /mnt/root
    mount -t proc proc proc
    mount -t sysfs sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    # Controllers can be enabled for the children of a cgroup only while the cgroup itself has no
    # processes.
    mkdir sys/fs/cgroup/init
    echo 1 >sys/fs/cgroup/init/cgroup.procs
    for controller in $(cat sys/fs/cgroup/cgroup.controllers); do
        echo "+$controller" >sys/fs/cgroup/cgroup.subtree_control
    done
    hostname bare
    mkdir host
    pivot_root . host
    umount -l /host
    rmdir /host
    exec chroot . /bin/bash /e2e/in/run </dev/null
fi

tree=$1 input=$2 output=$3
mount -t tmpfs -o size=90%,mode=755 bare /mnt
truncate -s 12G /mnt/disk
mkfs.ext4 -q -O ^has_journal -d "$tree" /mnt/disk
mkdir /mnt/root
# The kernel frees the loop device when the file system is no longer mounted anywhere.
mount -o loop /mnt/disk /mnt/root
cd /mnt/root
mount -t tmpfs -o mode=755 dev dev
mkdir dev/{pts,shm,mqueue}
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
while read -r name major minor; do mknod -m 666 "dev/$name" c "$major" "$minor"; done <<'DEVICES'
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
DEVICES
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for n in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${n%:*}" "dev/${n#*:}"; done
mount -t tmpfs -o mode=755,nosuid,nodev run run
mkdir -m 1777 run/lock
mount --bind "$input" e2e/in
mount --bind "$output" e2e/out

# Whatever the host needs to reach the package registries, the machine needs, too.
cp -L /etc/resolv.conf etc/resolv.conf
cp /etc/ssl/certs/ca-certificates.crt etc/ssl/certs/ca-certificates.crt
apt-config dump | grep -E '^Acquire::https?::' >etc/apt/apt.conf.d/99host || true
for config in globalconfig userconfig; do
    file=$(npm config get $config)
    [ ! -e "$file" ] || grep -vE '^(nodedir|prefix|cache)=' "$file" >>root/.npmrc || true
done

exec unshare --mount --pid --fork --kill-child --cgroup --ipc --uts bash "$0" --init
