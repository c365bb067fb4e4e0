// @ts-check
/**
 * Boots the disk in a virtual machine: pure cgroup2 with all controllers, but some twenty
 * times slower, since it is emulated everywhere: /dev/kvm is not there, or is emulated, too.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Runs until the machine has powered itself off.
 * @param {object} options
 * @param {string} options.image  a directory with `disk` and `kernel/vmlinuz`
 * @param {string} options.input  a directory with `run`
 * @param {string} options.output `console` is what kernel and systemd print, `lines` what `run`
 *   prints
 * @param {string} options.workDirectory for temporary files
 * @param {AbortSignal} options.signal ends it at once
 */
export async function runVm({ image, input, output, workDirectory, signal }) {
  const temporary = mkdtempSync(join(workDirectory, "vm-"));
  try {
    const inTar = join(temporary, "in");
    const outTar = join(temporary, "out");
    tar(["-cf", inTar, "-C", input, "."]);
    writeFileSync(outTar, "");
    truncateSync(outTar, 256 * 1024 * 1024);
    const log = openSync(join(output, "qemu"), "w");
    const child = spawn("qemu-system-x86_64", qemuArguments(image, inTar, outTar, output), {
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

/** @param {string} image @param {string} inTar @param {string} outTar @param {string} output */
function qemuArguments(image, inTar, outTar, output) {
  const kernel = [
    "root=/dev/nvme0n1 rw console=ttyS0 quiet panic=-1 net.ifnames=0 mitigations=off audit=0",
    "nowatchdog no_timer_check tsc=reliable rcupdate.rcu_expedited=1 random.trust_cpu=1",
  ];
  return [
    ...["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "Nehalem-v1", "-M", "pc"],
    ...["-smp", "2", "-m", "3072", "-display", "none", "-nodefaults"],
    ...["-kernel", join(image, "kernel/vmlinuz"), "-append", kernel.join(" ")],
    ...["-drive", `id=root,file=${image}/disk,if=none,format=raw,snapshot=on`],
    ...["-drive", `id=in,file=${inTar},if=none,format=raw,readonly=on`],
    ...["-drive", `id=out,file=${outTar},if=none,format=raw`],
    ...["-device", "nvme,id=n0,serial=e2e"],
    ...["-device", "nvme-ns,bus=n0,drive=root,nsid=1"],
    ...["-device", "nvme-ns,bus=n0,drive=in,nsid=2"],
    ...["-device", "nvme-ns,bus=n0,drive=out,nsid=3"],
    ...["-serial", `file:${output}/console`, "-serial", `file:${output}/lines`],
  ];
}

/** @param {string[]} args */
function tar(args) {
  const { status, stderr } = spawnSync("tar", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`tar: ${stderr}`);
}
