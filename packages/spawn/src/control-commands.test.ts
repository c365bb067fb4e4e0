import { describe, expect, it } from "vitest";
import { parseRequest } from "./control-commands.ts";

describe("parseRequest", () => {
  it.each([
    ['{"command":"status"}', { command: "status" }],
    ['{"command":"status","more":1}', { command: "status" }],
    ['{"command":"purge-namespaces"}', { command: "purge-namespaces", onlyIdle: false }],
    [
      '{"command":"purge-namespaces","onlyIdle":true}',
      { command: "purge-namespaces", onlyIdle: true },
    ],
    [
      '{"command":"purge-namespaces","onlyIdle":"yes"}',
      { command: "purge-namespaces", onlyIdle: false },
    ],
  ])("takes %s", (line, expected) => {
    expect(parseRequest(line)).toEqual(expected);
  });

  it.each([
    ["", "JSON"],
    ["status", "JSON"],
    ["null", "an object with a command"],
    ["[]", "an object with a command"],
    ['"status"', "an object with a command"],
    ["{}", "an object with a command"],
    ['{"command":"reboot"}', "unknown command: reboot"],
    ['{"command":["status"]}', "unknown command: status"],
    ['{"command":null}', "unknown command: null"],
  ])("refuses %j", (line, message) => {
    expect(() => parseRequest(line)).toThrow(message);
  });
});
