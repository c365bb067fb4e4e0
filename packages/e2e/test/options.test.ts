import { expect, it } from "vitest";
import { commandsOf, places } from "../bare/places.mjs";
import { readOptions } from "../options.mjs";

it.each(Object.keys(places))("accepts all commands of the place `%s` in places.mjs", (name) => {
  const commands = commandsOf(name).join(",");
  const { values, positionals } = readOptions(["--bare", "trixie", "--commands", commands, name]);
  expect(values.commands).toBe(commands);
  expect(positionals).toEqual([name]);
});

it("lists the valid commands if it refuses one", () => {
  const args = ["--bare", "trixie", "--commands", "start,nonesuch", "clone"];
  expect(() => readOptions(args)).toThrow(/^no command nonesuch; there are start, test, /);
});
