#!/bin/bash
# newer-node.sh TREE_SCRIPT SUITE ARCHITECTURE DIRECTORY: makes the tree with TREE_SCRIPT, and
# installs Node 20 in it, for a Debian release whose own Node is older. Node comes "from another
# source", as README says: here from a Debian package that this script makes.
set -euo pipefail
architecture=$3 tree=$4

bash "$@"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "node-linux-${architecture/amd64/x64}@20" >/dev/null)
mkdir -p "$work"/nodejs/{DEBIAN,usr}
tar -xzf "$work"/node-linux-*.tgz -C "$work/nodejs/usr" --strip-components=1 package/bin
version=$("$work/nodejs/usr/bin/node" --version)
printf '%s\n' "Package: nodejs" "Version: ${version#v}-1e2e1" "Architecture: $architecture" \
    "Multi-Arch: allowed" "Depends: libc6, libstdc++6" "Maintainer: e2e <root@localhost>" \
    "Description: Node" \
    >"$work/nodejs/DEBIAN/control"
dpkg-deb -Znone --root-owner-group --build "$work/nodejs" "$tree/nodejs.deb" >/dev/null
chroot "$tree" dpkg -i /nodejs.deb
rm "$tree/nodejs.deb"
