import { describe, expect, it } from "vitest";
import { parseToml } from "./toml.ts";

const parse = (text: string) => parseToml(text, "f.toml");

describe("parseToml", () => {
  it("reads every kind of value", () => {
    const t = parse(
      's = "x"\ni = 3\nf = 1.5\nb = true\nl = ["a", "b"]\nn = [1, 2]\n[t]\nk = 1\n[t.u]\nv = 2\n[[a]]\nx = 1\n[[a]]\nx = 2\n[a.y]\nz = 3\n',
    );
    expect(t.string("s")).toBe("x");
    expect(t.integer("i")).toBe(3);
    expect(t.number("f")).toBe(1.5);
    expect(t.boolean("b")).toBe(true);
    expect(t.strings("l")).toEqual([
      { value: "a", line: 5 },
      { value: "b", line: 5 },
    ]);
    expect(t.stringOrStrings("l")).toEqual(t.strings("l"));
    expect(t.stringOrStrings("s")).toEqual([{ value: "x", line: 1 }]);
    expect(t.lineOf("l")).toBe(5);
    expect(t.integers("n")).toEqual([1, 2]);
    expect(t.table("t")?.table("u")?.integer("v")).toBe(2);
    const [first, second] = t.tables("a") ?? [];
    expect(first?.integer("x")).toBe(1);
    expect(second?.table("y")?.integer("z")).toBe(3);
    t.finish();
  });

  it("reads dotted keys and inline tables", () => {
    const t = parse('a.b = 1\nc = { d = "e" }\n');
    expect(t.table("a")?.integer("b")).toBe(1);
    expect(t.table("c")?.string("d")).toBe("e");
  });

  it("gives undefined for a missing key", () => {
    const t = parse("");
    expect(t.string("s")).toBeUndefined();
    expect(t.boolean("s")).toBeUndefined();
    expect(t.integer("s")).toBeUndefined();
    expect(t.table("s")).toBeUndefined();
  });

  it.each([
    ["a = ]\n", (t: ReturnType<typeof parse>) => t, /^f\.toml:1: /],
    [
      "MemoryMax=1G # pasted\n",
      (t: ReturnType<typeof parse>) => t,
      'f.toml:1: TOML requires quotes around text: MemoryMax = "1G"',
    ],
    [
      "[Slice]\nDescription=all of it\n",
      (t: ReturnType<typeof parse>) => t,
      'f.toml:2: TOML requires quotes around text: Description = "all of it"',
    ],
    [
      "[t]\nenabled = yes\n",
      (t: ReturnType<typeof parse>) => t,
      "f.toml:2: enabled must be true or false, not yes",
    ],
    [
      "enabled = Off # for now\n",
      (t: ReturnType<typeof parse>) => t,
      "f.toml:1: enabled must be true or false, not Off",
    ],
    ['a = "open\n', (t: ReturnType<typeof parse>) => t, /^f\.toml:1: (?!TOML)/],
    ["\na = 1\na = 2\n", (t: ReturnType<typeof parse>) => t, /^f\.toml:3: /],
    [
      "\n\na = 1\n",
      (t: ReturnType<typeof parse>) => t.string("a"),
      "f.toml:3: a: expected a string, found an integer",
    ],
    [
      "a = 1.5\n",
      (t: ReturnType<typeof parse>) => t.integer("a"),
      "f.toml:1: a: expected an integer, found a float",
    ],
    [
      "a = 5\n",
      (t: ReturnType<typeof parse>) => t.integer("a", { max: 4 }),
      "f.toml:1: a: 5 is too large: at most 4",
    ],
    [
      "a = [\n'x',\n3]\n",
      (t: ReturnType<typeof parse>) => t.strings("a"),
      "f.toml:3: a: expected a string, found an integer",
    ],
    [
      "[t]\nx = 1\n",
      (t: ReturnType<typeof parse>) => t.table("t")?.finish(),
      /^f\.toml:2: t\.x: unknown key/,
    ],
    [
      "t = 3\n",
      (t: ReturnType<typeof parse>) => t.table("t"),
      "f.toml:1: t: expected a table, found an integer",
    ],
  ])("names the line of the mistake in %j", (text, read, message) => {
    expect(() => read(parse(text))).toThrow(message);
  });
});
