#!/bin/bash
# container.sh TREE INPUT OUTPUT: boots TREE in systemd-nspawn, and waits until the system
# powers itself off. Changes to TREE go to a tmpfs; all mounts are private and end with this script,
# which has to be run by `unshare --mount`, in new cgroups (see isolated.mjs).
set -euo pipefail
tree=$1 input=$2 output=$3

mkdir -p /run/systemd/nspawn
mount -t tmpfs e2e /run/systemd/nspawn
work=/run/systemd/nspawn/e2e
mkdir -p $work/{upper,work,root}
mount -t overlay e2e -o "lowerdir=$tree,upperdir=$work/upper,workdir=$work/work" $work/root
mount --bind "$input" $work/root/e2e/in
mount --bind "$output" $work/root/e2e/out
status=133
while [ $status = 133 ]; do # systemd-nspawn's status after a reboot
    status=0
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn -q -b --register=no --keep-unit \
        --private-network --console=pipe -M e2e -D $work/root </dev/null || status=$?
done
exit $status
