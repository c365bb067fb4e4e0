#!/bin/bash
# disk.sh TREE DIRECTORY: a disk image of TREE, and a kernel that boots it without an initrd.
# Debian's cloud kernel has NVMe and ext4 built in; it comes from this machine's own apt.
set -euo pipefail
tree=$1 directory=$2
mkdir -p "$directory/kernel"
cd "$directory/kernel"
package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p' | head -n 1)
apt-get -q -o APT::Sandbox::User=root download "$package"
dpkg -x ./*.deb .
rm ./*.deb
cp boot/vmlinuz-* vmlinuz
version=$(ls lib/modules)
rm -rf "$tree/usr/lib/modules"
mkdir -p "$tree/usr/lib/modules"
cp -a "lib/modules/$version" "$tree/usr/lib/modules/"
chroot "$tree" depmod "$version"
rm -rf lib boot usr
truncate -s 4G "$directory/disk"
mkfs.ext4 -q -d "$tree" -O ^has_journal "$directory/disk"
