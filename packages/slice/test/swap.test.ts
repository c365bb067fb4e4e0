/** Somebody replaces a directory of an image with a link while root changes units in the image. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandFailure } from "@cm4all/command";
import { openTree } from "@cm4all/command/tree";
import { afterEach, beforeEach, expect, it } from "vitest";
import { applyChange, planInstall, planRemove, UnitDirectory } from "../src/install.ts";
import { SLICE_UNIT } from "../src/name.ts";
import { encodeUnit } from "../src/unit.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "slice-swap-"));
  for (const name of ["image/etc/systemd/system", "outside/system"])
    mkdirSync(join(directory, name), { recursive: true });
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

/** A program that keeps swapping a directory and a link that leads out of the image. */
const SWAP = `
const { renameSync, symlinkSync, unlinkSync } = require("node:fs");
const [path, outside] = process.argv.slice(1);
const attempt = (action) => { try { action(); return true; } catch { return false; } };
for (let swaps = 1; ; swaps++) {
  renameSync(path, path + ".away");
  if (attempt(() => symlinkSync(outside, path))) unlinkSync(path);
  // The installation may have made a directory at this path meanwhile.
  else renameSync(path, path + ".made" + swaps);
  if (!attempt(() => renameSync(path + ".away", path))) {
    renameSync(path, path + ".made" + swaps);
    renameSync(path + ".away", path);
  }
  if (swaps === 100) console.log("swapping");
}`;

it.each(["etc", "etc/systemd", "etc/systemd/system"])(
  "nothing lands outside the image: %s",
  async (swapped) => {
    const outside = join(directory, "outside");
    const unit = join(outside, "system", SLICE_UNIT);
    const path = join(directory, "image", swapped);
    const swapper = spawn(process.execPath, ["-e", SWAP, path, outside], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      await once(swapper.stdout, "data");
      using tree = openTree(join(directory, "image"));
      const units = new UnitDirectory(tree, "/etc/systemd/system");
      let written = 0;
      const attempt = (action: () => void) => {
        try {
          action();
          written++;
        } catch (error) {
          // The directory has been moved away, or another one was made in its place.
          if (!(error instanceof CommandFailure)) throw error;
        }
      };
      for (let i = 0; i < 60; i++) {
        const texts = new Map([[SLICE_UNIT, encodeUnit(new Map())]]);
        attempt(() => {
          for (const change of planInstall(units, texts, { force: true }))
            applyChange(units, change);
        });
        attempt(() => {
          for (const change of planRemove(units, [SLICE_UNIT], { force: true }))
            if (change.before !== undefined) applyChange(units, change);
        });
        expect(existsSync(unit)).toBe(false);
      }
      expect(written).toBeGreaterThan(10);
      expect(readdirSync(outside)).toEqual(["system"]);
      expect(readdirSync(join(outside, "system"))).toEqual([]);
    } finally {
      swapper.kill("SIGKILL");
      await once(swapper, "exit");
    }
  },
);
