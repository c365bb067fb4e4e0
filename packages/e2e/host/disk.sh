#!/bin/bash
# disk.sh TREE DIRECTORY: makes a disk image of TREE, and unpacks a kernel that boots it without
# an initrd: Debian's cloud kernel, which tree.sh has downloaded, has NVMe and ext4 built in.
set -euo pipefail
shopt -s nullglob
tree=$1 directory=$2
mkdir -p "$directory/kernel"
cd "$directory/kernel"
dpkg -x "$tree"/linux-image-*.deb .
cp boot/vmlinuz-* vmlinuz
modules=$(echo "$PWD"/{usr/,}lib/modules/[0-9]*)
version=$(basename "$modules")
rm -rf "$tree/usr/lib/modules"
mkdir -p "$tree/usr/lib/modules"
cp -a "$modules" "$tree/usr/lib/modules/"
depmod -b "$tree" "$version"
rm -rf lib boot usr
truncate -s 4G "$directory/disk"
mkfs.ext4 -q -d "$tree" -O ^has_journal "$directory/disk"
