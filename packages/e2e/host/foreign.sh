#!/bin/bash
# foreign.sh COMMAND...: runs a command for which the kernel executes arm64 programs in qemu-user.
# qemu-user is registered in a new user namespace, so that nothing else on this machine is
# affected; this needs Linux 6.7 or newer.
set -euo pipefail
if [ "${1-}" = --inside ]; then
    shift
    until [ -n "$(cat /proc/self/gid_map)" ]; do sleep 0.1; done
    mount -t proc proc /proc
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    # With the flag F, the kernel opens the interpreter now, so a tree need not contain it.
    echo ":arm64:M::$magic:$mask:/usr/bin/qemu-aarch64-static:F" >/proc/sys/fs/binfmt_misc/register
    exec "$@"
fi
unshare --user --mount --pid --fork --kill-child bash "$0" --inside "$@" &
until [ "$(readlink /proc/$!/ns/user)" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.1; done
# Maps all ids to themselves, because the files of a tree belong to many users.
echo 0 0 4294967295 >/proc/$!/uid_map
echo 0 0 4294967295 >/proc/$!/gid_map
wait $!
