/** Work of different kinds, each in a cgroup of its own. */
import { join } from "node:path";
import { DATA } from "./checkout.ts";

/** A cgroup that exists, and is empty, when the daemon starts. */
export const LEFTOVER = { name: "leftover" };

export interface Sample {
  /** The name of the cgroup. */
  readonly name: string;
  readonly does: string;
  /** The command, for sh. */
  readonly command: string;
}

const node = (code: string) => `"${process.execPath}" -e '${code}'`;
const FILE = join(DATA, "backup");

export const SAMPLES: readonly Sample[] = [
  {
    name: "shop",
    does: "computes for half a second",
    command: node("const end = performance.now() + 500; while (performance.now() < end);"),
  },
  {
    name: "import",
    does: "fills 64 MiB of memory",
    command: node("Buffer.alloc(64 * 1024 * 1024, 1);"),
  },
  {
    name: "build",
    does: "starts 30 processes",
    command: "for i in $(seq 30); do sleep 0.3 & done; wait",
  },
  {
    name: "backup",
    does: "writes 16 MiB to the disk",
    command: `dd if=/dev/zero of="${FILE}" bs=1M count=16 conv=fsync; rm -f "${FILE}"`,
  },
];
