#!/bin/bash
# tree.sh SUITE NODE DIRECTORY: makes a minimal Debian system with everything that README asks for:
# Node, npm and git. NODE is `debian` for Debian's own packages, or a major version, which is
# downloaded from npm's registry.
set -euo pipefail
suite=$1 node=$2 tree=$3

include=ca-certificates,git
case $node in
    debian) include+=,nodejs,npm ;;
    # From version 25 on, the builds of Node from nodejs.org are linked with libatomic.
    2[5-9]) include+=,libatomic1 ;;
esac
mmdebstrap -q --mode=root --variant=minbase --include=$include \
    --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$tree"
echo bare >"$tree/etc/hostname"
echo 127.0.0.1 localhost bare >"$tree/etc/hosts"
mkdir -p "$tree/e2e"/{in,out}
[ "$node" != debian ] || exit 0

# Node and npm go below /usr/local, where nodejs.org's archives are usually unpacked, too.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# npm 11 runs on all versions of Node that are tested.
(cd "$work" && npm pack --silent "node-linux-$(node -p process.arch)@$node" npm@11 >/dev/null)
tar -xzf "$work"/node-linux-*.tgz -C "$tree/usr/local" --strip-components=1 package/bin
mkdir -p "$tree/usr/local/lib/node_modules/npm"
tar -xzf "$work"/npm-*.tgz -C "$tree/usr/local/lib/node_modules/npm" --strip-components=1
for name in npm npx; do
    ln -s "../lib/node_modules/npm/bin/$name-cli.js" "$tree/usr/local/bin/$name"
done
