#!/bin/bash
# tree.sh SUITE ARCHITECTURE DIRECTORY: makes a Debian system that boots with systemd and then
# runs /e2e/in/run.
set -euo pipefail
suite=$1 architecture=$2 tree=$3

include=systemd-sysv,dbus,udev,kmod,procps,iproute2,iputils-ping,nftables,sudo,nodejs,catatonit
# Programs that only the cases run. On arm64, release-check runs only some of the cases, and none of
# those needs these programs.
if [ "$architecture" != arm64 ]; then
    include+=,jq,openssh-client,postgresql,prometheus
    # Debian 12 has promtool in the package prometheus.
    [ "$suite" = bookworm ] || include+=,promtool
fi
kernel='APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; export APT_CONFIG
    cd "$1" && apt-get -q -o APT::Sandbox::User=root download "$(apt-cache depends \
    linux-image-cloud-'$architecture' | sed -n "s/.*Depends: //p" | head -n 1)"'
mmdebstrap -q --mode=root --variant=minbase --include=$include --architectures="$architecture" \
    --customize-hook="$kernel" \
    --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/lib/udev/hwdb.d/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-include=/usr/share/doc/cm4all*' --dpkgopt='path-include=/usr/share/doc/libnss-cm4all*' \
    "$suite" "$tree"

: >"$tree/etc/fstab"
echo e2e >"$tree/etc/hostname"
echo 127.0.0.1 localhost e2e >"$tree/etc/hosts"
tr -d - </proc/sys/kernel/random/uuid >"$tree/etc/machine-id"
# Nothing is downloaded inside the machine.
rm -f "$tree"/etc/apt/sources.list "$tree"/etc/apt/sources.list.d/*

mkdir -p "$tree/e2e"/{in,out}
cat >"$tree/usr/local/sbin/e2e-agent" <<'AGENT'
#!/bin/sh
# In the virtual machine, input and output are tar archives, each written directly to a disk.
in=/dev/disk/by-id/virtio-in out=/dev/disk/by-id/virtio-out
if systemd-detect-virt -q --container; then
    exec >>/e2e/out/lines 2>&1
else
    # These are the kernel's names for the devices, because udev may not have run yet.
    for lines in /dev/vport*p1 /dev/ttyS1; do [ ! -c "$lines" ] || break; done
    exec >"$lines" 2>&1
    udevadm settle
    [ -e /e2e/in/run ] || tar -xf $in -C /e2e/in
fi
cd /e2e/in
sh ./run
journalctl --no-pager -o short-precise >/e2e/out/journal.txt
if [ -b $out ]; then tar -cf $out -C /e2e/out . && sync; fi
systemctl poweroff --no-block
AGENT
chmod 755 "$tree/usr/local/sbin/e2e-agent"
cat >"$tree/etc/systemd/system/e2e-agent.service" <<'UNIT'
[Unit]
After=basic.target
[Service]
ExecStart=/usr/local/sbin/e2e-agent
TasksMax=infinity
LimitNOFILE=65536
OOMScoreAdjust=-900
[Install]
WantedBy=multi-user.target
UNIT
mkdir -p "$tree/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=persistent\nRateLimitBurst=0\n' >"$tree/etc/systemd/journald.conf.d/e2e.conf"
systemctl -q --root="$tree" enable e2e-agent
# Services that only cost time.
systemctl -q --root="$tree" mask e2scrub_reap.service getty@tty1.service serial-getty@.service \
    console-getty.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer \
    dpkg-db-backup.timer modprobe@dm_mod.service modprobe@loop.service modprobe@drm.service \
    modprobe@efi_pstore.service modprobe@fuse.service
# Cases that need a server start it.
[ "$architecture" = arm64 ] ||
    systemctl -q --root="$tree" disable postgresql.service prometheus.service
