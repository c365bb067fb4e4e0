import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseConfig } from "./config.ts";

const text = readFileSync(new URL("../spawn.toml", import.meta.url), "utf8");

describe("spawn.toml as it is shipped", () => {
  it("changes nothing", () => {
    expect(parseConfig(text, "spawn.toml")).toEqual(parseConfig("", "spawn.toml"));
  });

  it("shows each key with its default", () => {
    const uncommented = text.replaceAll(/^#([a-z_]+ = | {2}"|\])/gm, "$1");
    expect(uncommented).not.toBe(text);
    expect(parseConfig(uncommented, "spawn.toml")).toEqual(parseConfig("", "spawn.toml"));
  });
});
