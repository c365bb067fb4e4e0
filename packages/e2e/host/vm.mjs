// @ts-check
/**
 * Boots a disk image in a virtual machine. The machine has cgroup2 with the controllers that the
 * cases need, but is about twenty times slower than a container: it is always emulated, because
 * /dev/kvm may be missing or may itself be emulated.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Runs until the machine has powered itself off.
 * @param {object} options
 * @param {string} options.architecture `amd64` or `arm64`
 * @param {string} options.image  a directory with `disk` and `kernel/vmlinuz`; see image.mjs
 * @param {string} options.input  a directory with the script `run`
 * @param {string} options.output a directory for `console`, the output of kernel and systemd, and
 *   `lines`, the output of `run`
 * @param {string} options.workDirectory for temporary files
 * @param {AbortSignal} options.signal ends the machine immediately
 */
export async function runVm({ architecture, image, input, output, workDirectory, signal }) {
  const temporary = mkdtempSync(join(workDirectory, "vm-"));
  try {
    const inTar = join(temporary, "in");
    const outTar = join(temporary, "out");
    tar(["-cf", inTar, "-C", input, "."]);
    writeFileSync(outTar, "");
    truncateSync(outTar, 256 * 1024 * 1024);
    const log = openSync(join(output, "qemu"), "w");
    const machine = machines[architecture];
    if (machine === undefined) throw new Error(`no virtual machine of ${architecture}`);
    const args = qemuArguments({ machine, image, inTar, outTar, output });
    const child = spawn(machine.program, args, {
      stdio: ["ignore", log, log],
      env: { ...process.env, TMPDIR: temporary },
    });
    const kill = () => child.kill("SIGKILL");
    signal.addEventListener("abort", kill);
    const status = await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, killer) => resolve(code ?? killer));
    });
    signal.removeEventListener("abort", kill);
    if (status !== 0) throw new Error(`qemu ended with ${status}; see ${output}/console`);
    tar(["-xf", outTar, "-C", output]);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/**
 * A machine that can be emulated. The output of its two serial lines goes to the files `console`
 * and `lines` in the directory `output`.
 * @typedef {object} Machine
 * @property {string} program
 * @property {string} console kernel parameters: the console, and others that this machine needs
 * @property {(output: string) => string[]} args
 */

const ACCELERATOR = ["-accel", "tcg,thread=multi,tb-size=512"];

/** @type {Record<string, Machine>} by Debian's name for the architecture */
const machines = {
  amd64: {
    program: "qemu-system-x86_64",
    console: "console=ttyS0 no_timer_check tsc=reliable",
    args: (output) => [
      ...[...ACCELERATOR, "-cpu", "Nehalem-v1", "-M", "pc"],
      ...["-serial", `file:${output}/console`, "-serial", `file:${output}/lines`],
    ],
  },
  arm64: {
    program: "qemu-system-aarch64",
    console: "console=ttyAMA0",
    args: (output) => [
      ...[...ACCELERATOR, "-cpu", "cortex-a57", "-M", "virt"],
      ...["-serial", `file:${output}/console`, "-device", "virtio-serial-pci"],
      ...["-chardev", `file,id=lines,path=${output}/lines`],
      ...["-device", "virtserialport,chardev=lines,name=lines"],
    ],
  },
};

/**
 * @param {{ machine: Machine, image: string, inTar: string, outTar: string, output: string }} options
 */
function qemuArguments({ machine, image, inTar, outTar, output }) {
  const kernel = [
    `root=/dev/nvme0n1 rw ${machine.console} quiet panic=-1 net.ifnames=0 mitigations=off`,
    "audit=0 nowatchdog rcupdate.rcu_expedited=1 random.trust_cpu=1",
    // A kernel that patches its own code sometimes panics under emulation (`Oops: int3`). Without
    // this controller, which nothing here needs, it patches its code less often.
    "cgroup_disable=cpuset",
  ];
  return [
    ...machine.args(output),
    ...["-smp", "2", "-m", "3072", "-display", "none", "-nodefaults"],
    ...["-kernel", join(image, "kernel/vmlinuz"), "-append", kernel.join(" ")],
    ...["-drive", `id=root,file=${image}/disk,if=none,format=raw,snapshot=on`],
    ...["-drive", `id=in,file=${inTar},if=none,format=raw,readonly=on`],
    ...["-drive", `id=out,file=${outTar},if=none,format=raw`],
    // The only NVMe disk, because since Linux 6.12 the order of several disks is random.
    ...["-device", "nvme,drive=root,serial=root"],
    ...["-device", "virtio-blk-pci,drive=in,serial=in"],
    ...["-device", "virtio-blk-pci,drive=out,serial=out"],
  ];
}

/** @param {string[]} args */
function tar(args) {
  const { status, stderr } = spawnSync("tar", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`tar: ${stderr}`);
}
