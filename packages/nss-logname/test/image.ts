/** A minimal tree of the host's own files, to be entered with chroot(1). */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export interface Result {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Who {
  readonly uid: number;
  readonly gid: number;
  readonly groups?: readonly number[];
  readonly env?: Readonly<Record<string, string>>;
}

export class Image implements Disposable {
  readonly root = realpathSync(mkdtempSync(join(tmpdir(), "nss-image-")));
  /** Files of the host that are seen at the same paths inside. */
  readonly #binds: string[] = [];

  constructor() {
    chmodSync(this.root, 0o755);
    for (const name of ["etc", "tmp", "usr"]) mkdirSync(join(this.root, name));
    chmodSync(join(this.root, "tmp"), 0o1777);
    // /lib is a symbolic link or a directory, as on the host.
    for (const name of ["bin", "lib", "lib64"]) {
      mkdirSync(`${this.root}/usr/${name}`);
      if (!existsSync(`/${name}`)) continue;
      if (lstatSync(`/${name}`).isSymbolicLink())
        symlinkSync(readlinkSync(`/${name}`), `${this.root}/${name}`);
      else mkdirSync(`${this.root}/${name}`);
    }
    mkdirSync(join(this.root, "proc"));
    for (const device of ["/dev/null", "/dev/urandom"]) this.bind(device);
    this.addProgram("/usr/bin/env");
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }

  /** Copies a program and all libraries that it is linked with. */
  addProgram(path: string): void {
    this.addFile(path);
    this.addLibrariesOf(path);
  }

  /** Copies a file, or the target of a symbolic link, to the same path inside. */
  addFile(path: string): void {
    const target = this.root + path;
    if (existsSync(target)) return;
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(path, target);
  }

  /** Copies the libraries that an ELF file is linked with. */
  addLibrariesOf(path: string): void {
    const { stdout } = spawnSync("ldd", [path], { encoding: "utf8" });
    for (const [library] of stdout.matchAll(/\/[^ \n]+(?= \(0x)/g)) this.addFile(library);
  }

  /** Mounts a file or directory of the host inside, as a copy would be too large or impossible. */
  bind(path: string): void {
    const isDirectory = statSync(path).isDirectory();
    mkdirSync(isDirectory ? this.root + path : dirname(this.root + path), { recursive: true });
    if (!isDirectory) writeFileSync(this.root + path, "");
    this.#binds.push(path);
  }

  write(path: string, text: string): void {
    writeFileSync(this.root + path, text);
  }

  read(path: string): string {
    return readFileSync(this.root + path, "utf8");
  }

  /**
   * Runs a program inside, with only a PATH and the environment of `who`. The program has a mount
   * namespace of its own, in which set-uid programs and devices work whatever the mount options of
   * the tree's file system are.
   */
  run(who: Who, ...command: string[]): Result {
    const script = [
      'root="$1" user="$2" groups="$3"; shift 3',
      'mount --bind "$root" "$root" && mount -o remount,bind,suid,dev "$root" || exit 99',
      ...this.#binds.map((path) => `mount --bind '${path}' "$root"'${path}' || exit 99`),
      'mount --rbind /proc "$root/proc" || exit 99',
      // Each id has a plus sign, so that chroot(1) does not look it up as a name first.
      'exec chroot --userspec="$user" --groups="$groups" "$root" /usr/bin/env -i "$@"',
    ].join("\n");
    const groups = (who.groups ?? []).map((gid) => `+${gid}`).join(",");
    const env = Object.entries({ PATH: "/usr/bin:/bin", ...who.env });
    return spawnSync(
      "unshare",
      [
        ...["--mount", "sh", "-c", script, "sh"],
        ...[this.root, `+${who.uid}:+${who.gid}`, groups],
        ...env.map(([name, value]) => `${name}=${value}`),
        ...command,
      ],
      { encoding: "utf8" },
    );
  }
}
