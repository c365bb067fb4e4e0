// @ts-check
/** Makes packages that only the cases need, and extracts the addons from ours. */
import { execFileSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

/**
 * Makes our packages again, with a higher version.
 * @param {string[]} packages @param {string} output
 */
export function makeUpgrade(packages, output) {
  mkdirSync(output);
  for (const path of packages)
    withDirectory((directory) => {
      const tree = join(directory, "tree");
      execFileSync("dpkg-deb", ["-R", path, tree]);
      const control = join(tree, "DEBIAN/control");
      const text = readFileSync(control, "utf8");
      writeFileSync(control, text.replace(/^Version: (.*)$/m, "Version: $1+e2e1"));
      build(tree, join(output, basename(path)));
    });
}

/**
 * Copies the addons of cm4all-spawn, which are for the architecture of the package.
 * @param {string[]} packages @param {string} output
 */
export function copyAddons(packages, output) {
  const spawn = packages.find((path) => basename(path).startsWith("cm4all-spawn_"));
  if (spawn === undefined) throw new Error("the package cm4all-spawn is missing");
  withDirectory((directory) => {
    execFileSync("dpkg-deb", ["-x", spawn, directory]);
    const programs = join(directory, "usr/lib/cm4all/spawn");
    for (const name of readdirSync(programs))
      if (name.endsWith(".node")) cpSync(join(programs, name), join(output, name));
  });
}

/**
 * Makes stand-ins for the original packages: those of version 0.27, and, in a separate directory,
 * that of version 0.13. They have the names, files and units of the original packages, and the
 * parts of the maintainer scripts that debhelper writes, but their programs do nothing.
 * @param {string} output
 */
export function makeOriginal(output) {
  mkdirSync(output);
  for (const [name, files] of Object.entries({ accessory, reaper, netns, slice }))
    makePackage(files, join(output, `${name}_0.27_all.deb`));
  mkdirSync(join(output, "first"));
  makePackage(first, join(output, "first/cm4all-spawn_0.13_all.deb"));
}

/** @param {Record<string, ReturnType<typeof file>>} files @param {string} output */
function makePackage(files, output) {
  withDirectory((directory) => {
    for (const [path, { text, mode }] of Object.entries(files)) {
      mkdirSync(join(directory, path, ".."), { recursive: true });
      writeFileSync(join(directory, path), text, { mode });
    }
    build(directory, output);
  });
}

/** @param {string} text @param {number} [mode] */
const file = (text, mode = 0o644) => ({ text, mode });

/** @param {string} name @param {string} extra */
const control = (name, extra = "", version = "0.27") =>
  file(`Package: ${name}
Version: ${version}
Architecture: all
Maintainer: nobody <nobody@localhost>
${extra}Description: stand-in for a package of the original
`);

const ON_SLICE = "Depends: cm4all-slice (>= 0.2)\nReplaces: cm4all-spawn\n";

/** @param {string[]} units */
const scripts = (units) => ({
  "DEBIAN/postinst": file(
    `#!/bin/sh\nsystemctl daemon-reload\nsystemctl restart ${units.join(" ")}\n`,
    0o755,
  ),
  "DEBIAN/prerm": file(`#!/bin/sh\nsystemctl stop ${units.join(" ")}\n`, 0o755),
  "DEBIAN/postrm": file(
    `#!/bin/sh
[ "$1" != remove ] || deb-systemd-helper mask ${units.join(" ")} >/dev/null
systemctl daemon-reload
`,
    0o755,
  ),
});

const idle = "#!/bin/sh\nexec sleep infinity\n";

const accessory = {
  "DEBIAN/control": control("cm4all-spawn-accessory", ON_SLICE),
  ...scripts(["cm4all-spawn-accessory.socket"]),
  "usr/sbin/cm4all-spawn-accessory": file(idle, 0o755),
  "usr/lib/systemd/system/cm4all-spawn-accessory.socket": file(`[Socket]
ListenSequentialPacket=@cm4all-spawn
PassCredentials=true
`),
  "usr/lib/systemd/system/cm4all-spawn-accessory.service": file(`[Service]
ExecStart=/usr/sbin/cm4all-spawn-accessory
Slice=system-cm4all.slice
`),
};

const reaper = {
  "DEBIAN/control": control("cm4all-spawn-reaper", ON_SLICE),
  "DEBIAN/conffiles": file("/etc/cm4all/spawn/reaper.lua\n"),
  ...scripts(["cm4all-spawn-reaper.service"]),
  "usr/sbin/cm4all-spawn-reaper": file(idle, 0o755),
  "etc/cm4all/spawn/reaper.lua": file("function cgroup_released(cgroup)\nend\n"),
  "usr/lib/systemd/system/cm4all-spawn-reaper.service": file(`[Service]
ExecStart=/usr/sbin/cm4all-spawn-reaper
Slice=system-cm4all.slice
`),
};

const first = {
  "DEBIAN/control": control("cm4all-spawn", "Depends: cm4all-slice (>= 0.2)\n", "0.13"),
  "DEBIAN/conffiles": file("/etc/cm4all/spawn/accounting.lua\n"),
  ...scripts(["cm4all-spawn.service", "cm4all-spawn-reaper.service"]),
  "usr/sbin/cm4all-spawn": file(idle, 0o755),
  "usr/sbin/cm4all-spawn-reaper": file(idle, 0o755),
  "etc/cm4all/spawn/accounting.lua": file("function cgroup_released(cgroup)\nend\n"),
  "usr/lib/systemd/system/cm4all-spawn.service": file(`[Service]
ExecStart=/usr/sbin/cm4all-spawn
Slice=system-cm4all.slice
`),
  "usr/lib/systemd/system/cm4all-spawn-reaper.service": file(`[Service]
ExecStart=/usr/sbin/cm4all-spawn-reaper
Slice=system-cm4all.slice
`),
};

const netns = {
  "DEBIAN/control": control("cm4all-spawn-netns"),
  "usr/lib/systemd/system/cm4all-spawn-netns@.service": file(`[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/sbin/ip netns add %i
ExecStop=-/sbin/ip netns delete %i
`),
};

const slice = {
  "DEBIAN/control": control("cm4all-slice"),
  "usr/lib/systemd/system/system-cm4all.slice": file(`[Unit]
Description=CM4all Process Spawner Slice
Before=slices.target
`),
};

/** @param {string} tree @param {string} output */
function build(tree, output) {
  execFileSync("dpkg-deb", ["--root-owner-group", "-b", tree, output], { stdio: "ignore" });
}

/** @param {(directory: string) => void} work */
function withDirectory(work) {
  const directory = mkdtempSync(join(tmpdir(), "cm4all-e2e-package-"));
  try {
    work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
