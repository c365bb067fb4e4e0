import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { SystemUser } from "./accounting/user.ts";
import { parseConfig } from "./config.ts";

const text = readFileSync(new URL("../spawn.toml", import.meta.url), "utf8");

const find = (name: string): SystemUser => ({ name, uid: 900, gid: 900, home: "/nonexistent" });
const parse = (toml: string) => parseConfig(toml, "spawn.toml", find);

describe("spawn.toml as it is shipped", () => {
  it("changes nothing", () => {
    expect(parse(text)).toEqual(parse(""));
  });

  it("shows each key with its default", () => {
    const uncommented = text.replaceAll(/^#([a-z_]+ = | {2}"|\])/gm, "$1");
    expect(uncommented).not.toBe(text);
    expect(parse(uncommented)).toEqual(parse(""));
  });
});
