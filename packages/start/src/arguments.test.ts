import { expect, it } from "vitest";
import { parseStartArguments } from "./arguments.ts";

it("allows the demonstration if the arguments leave the configuration and the reaper alone", () => {
  expect(parseStartArguments([])).toEqual({ listen: undefined, control: undefined });
  expect(
    parseStartArguments(["-v", "--listen", "@x", "--control=/run/x", "--journal", "/x"]),
  ).toEqual({
    listen: "@x",
    control: "/run/x",
  });
});

it.each([["--no-reaper"], ["--config=/etc/x"], ["status"], ["--help"], ["--listen"]])(
  "leaves %s to the daemon",
  (argument) => {
    expect(parseStartArguments([argument])).toBeUndefined();
  },
);
