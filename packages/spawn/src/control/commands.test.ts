import { describe, expect, it } from "vitest";
import { pagesOf, parseRequest } from "./commands.ts";

describe("pagesOf", () => {
  it("divides a list, in its order, into pages whose size in JSON is limited", () => {
    expect(pagesOf([])).toEqual([]);
    expect(pagesOf([1, 2, 3])).toEqual([[1, 2, 3]]);
    const quotes = (count: number) => '"'.repeat(count);
    for (const list of [
      Array.from({ length: 3000 }, (_, i) => i),
      Array.from({ length: 300 }, (_, i) => quotes(i)),
    ]) {
      const pages = pagesOf<string | number>(list);
      expect(pages.flat()).toEqual(list);
      for (const page of pages) expect(JSON.stringify(page).length).toBeLessThan(2100);
      expect(pages.length).toBeLessThan(JSON.stringify(list).length / 1024 + 1);
    }
  });

  it("puts an element that is larger than a page on a page of its own", () => {
    const long = "x".repeat(4080);
    expect(pagesOf(["a", long, long, "b"])).toEqual([["a"], [long], [long], ["b"]]);
  });
});

describe("parseRequest", () => {
  it.each([
    ['{"command":"status"}', { command: "status" }],
    ['{"command":"status","more":1}', { command: "status" }],
    ['{"command":"reload"}', { command: "reload" }],
    ['{"command":"list-names"}', { command: "list-names", after: "", limit: 500 }],
    ['{"command":"list-names","after":"b"}', { command: "list-names", after: "b", limit: 500 }],
    ['{"command":"find-name","name":"web"}', { command: "find-name", name: "web" }],
    ['{"command":"purge-namespaces"}', { command: "purge-namespaces", onlyIdle: false }],
    [
      '{"command":"purge-namespaces","names":["web"]}',
      { command: "purge-namespaces", onlyIdle: false, names: ["web"] },
    ],
    [
      '{"command":"purge-namespaces","onlyIdle":true}',
      { command: "purge-namespaces", onlyIdle: true },
    ],
    ['{"command":"list-records"}', { command: "list-records", after: -1, limit: 500 }],
    [
      '{"command":"list-records","after":7,"limit":1000000}',
      { command: "list-records", after: 7, limit: 500 },
    ],
    ['{"command":"find-records","id":"x"}', { command: "find-records", id: "x" }],
    ['{"command":"retry-records","numbers":"all"}', { command: "retry-records", numbers: "all" }],
    ['{"command":"retry-records","numbers":[1]}', { command: "retry-records", numbers: [1] }],
    ['{"command":"drop-records","numbers":[1]}', { command: "drop-records", numbers: [1] }],
    ['{"command":"drop-records"}', { command: "drop-records", numbers: [] }],
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
    ['{"command":"purge-namespaces","onlyIdle":"false"}', "onlyIdle is neither true nor false"],
    ['{"command":"purge-namespaces","onlyIdle":null}', "onlyIdle is neither true nor false"],
    ['{"command":"purge-namespaces","names":"web"}', "names is not a list"],
    ['{"command":"purge-namespaces","names":[1]}', "an element of names is not a string"],
    ['{"command":"find-name","name":null}', "name is not a string"],
    ['{"command":"find-records","id":{}}', "id is not a string"],
    ['{"command":"list-records","after":"1"}', "after is not an integer"],
    ['{"command":"list-records","limit":1.5}', "limit is not an integer"],
    ['{"command":"list-names","limit":0}', "limit is less than 1"],
    ['{"command":"drop-records","numbers":"all"}', "numbers is not a list"],
    ['{"command":"retry-records","numbers":["1"]}', "a record's number is not an integer"],
  ])("refuses %j", (line, message) => {
    expect(() => parseRequest(line)).toThrow(message);
  });
});
