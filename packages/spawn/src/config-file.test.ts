import { mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConfigFile } from "./config-file.ts";

describe("ConfigFile", () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "config-file-"));
    path = join(directory, "spawn.toml");
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const open = (text: string) => {
    writeFileSync(path, text);
    return new ConfigFile(path, (config) => config);
  };
  const state = (file: ConfigFile) => file.measure().state;

  it("is current until the file changes, and again after a reload", () => {
    const file = open("[namespaces]\nmax_names = 8\n");
    expect(file.measure()).toEqual({
      state: "current",
      status: { file: path, problem: undefined, waitsForRestart: [] },
    });
    writeFileSync(path, "[namespaces]\nmax_names = 9\n");
    expect([state(file), state(file)]).toEqual(["changed", "changed"]);
    expect(file.reload().namespaces.settings.quotas.names).toBe(9);
    expect(state(file)).toBe("current");
    expect(file.failedReloads).toBe(0);
  });

  it("is current after changes to comments or to the timestamp, and after changes that were undone", () => {
    const file = open("[namespaces]\nmax_names = 8\n");
    writeFileSync(path, "# Few.\n[namespaces]\nmax_names = 8\n");
    expect(state(file)).toBe("current");
    utimesSync(path, 0, 0);
    expect(state(file)).toBe("current");
    writeFileSync(path, "");
    expect(state(file)).toBe("changed");
    writeFileSync(path, "[namespaces]\nmax_names = 8\n");
    expect(state(file)).toBe("current");
  });

  it("notices that the file was replaced by another one of the same size and timestamp", () => {
    const file = open("[namespaces]\nmax_names = 8\n");
    utimesSync(path, 0, 0);
    state(file);
    writeFileSync(`${path}.new`, "[namespaces]\nmax_names = 9\n");
    utimesSync(`${path}.new`, 0, 0);
    renameSync(`${path}.new`, path);
    expect(state(file)).toBe("changed");
  });

  it("is refused after a failed reload, with the reason, until the file is corrected", () => {
    const file = open("");
    writeFileSync(path, "[namespaces]\nmax_names = 0\n");
    expect(() => file.reload()).toThrow("spawn.toml:2: ");
    const { status } = file.measure();
    expect([state(file), status.problem]).toEqual([
      "refused",
      expect.stringContaining("spawn.toml:2: "),
    ]);
    expect(file.failedReloads).toBe(1);
    writeFileSync(path, "[namespaces]\nmax_names = 7\n");
    expect([state(file), file.measure().status.problem]).toEqual(["changed", undefined]);
    writeFileSync(path, "");
    expect(state(file)).toBe("current");
  });

  it("reports a mistake before a reload, and a file that is missing", () => {
    const file = open("");
    writeFileSync(path, "mistake = 1\n");
    expect(file.measure()).toMatchObject({
      state: "changed",
      status: { problem: expect.stringContaining("spawn.toml:1: ") },
    });
    rmSync(path);
    expect(file.measure()).toMatchObject({
      state: "changed",
      status: { problem: expect.stringContaining("ENOENT") },
    });
  });

  it("reports the changed keys that only a restart applies", () => {
    const file = open("");
    writeFileSync(path, "[reaper]\ncheck_seconds = 7\n");
    expect(file.measure()).toMatchObject({ state: "changed", status: { waitsForRestart: [] } });
    file.reload();
    expect(file.measure()).toMatchObject({
      state: "restart",
      status: { waitsForRestart: ["reaper.check_seconds"] },
    });
    writeFileSync(path, "");
    file.reload();
    expect(state(file)).toBe("current");
  });

  it("compares the file after the command line has overridden keys of the file", () => {
    writeFileSync(path, "");
    const file = new ConfigFile(path, (config) => ({ ...config, metrics: { listen: "" } }));
    writeFileSync(path, '[metrics]\nlisten = "127.0.0.1:1"\n');
    expect(state(file)).toBe("current");
  });
});
