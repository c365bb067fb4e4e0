import { describe, expect, it } from "vitest";
import { ConfigError, parseToml, type TomlTable } from "./toml.ts";

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

/** A value of each type, in TOML. */
const VALUES = {
  "a string": '"x"',
  "an integer": "3",
  "a float": "1.5",
  "a boolean": "false",
  "a date or time": "2026-01-01",
  "an array": "[]",
  "a table": "{}",
};
type Type = keyof typeof VALUES;
type Getter = keyof {
  [Name in keyof TomlTable as TomlTable[Name] extends (key: string) => unknown ? Name : never]: 1;
};

/** The types that a getter accepts, and what it expects according to its message. */
const GETTERS: readonly (readonly [Getter, accepted: readonly Type[], expected: string])[] = [
  ["string", ["a string"], "a string"],
  ["boolean", ["a boolean"], "true or false"],
  ["integer", ["an integer"], "an integer"],
  ["number", ["an integer", "a float"], "a number"],
  ["scalar", ["a string", "an integer"], "a string or an integer"],
  ["stringOrStrings", ["a string", "an array"], "an array of strings"],
  ["strings", ["an array"], "an array of strings"],
  ["integers", ["an array"], "an array of integers"],
  ["integersOrStrings", ["an array"], "an array of integers and strings"],
  ["table", ["a table"], "a table"],
  ["tables", ["an array"], "an array of tables"],
];

describe.each(GETTERS)("%s", (getter, accepted, expected) => {
  const types = Object.keys(VALUES) as Type[];

  it("returns undefined for a missing key, which counts as known", () => {
    const t = parse("b = 1");
    expect(t[getter]("a")).toBeUndefined();
    expect(() => t.finish()).toThrow("b: unknown key; known here: a");
  });

  it.each(types.filter((type) => accepted.includes(type)))("accepts %s", (type) => {
    const t = parse(`a = ${VALUES[type]}\n`);
    expect(t[getter]("a")).toBeDefined();
    t.finish();
  });

  it.each(types.filter((type) => !accepted.includes(type)))("refuses %s", (type) => {
    const t = parse(`\n[t]\na = ${VALUES[type]}\n`).table("t");
    expect(() => t?.[getter]("a")).toThrow(
      new ConfigError("f.toml", 3, `t.a: expected ${expected}, found ${type}`),
    );
  });
});

describe("an element of an array", () => {
  it.each([
    ["strings", "a string", "[\n'x',\n1.5]", 3],
    ["integers", "an array of integers", "[3,\n1.5]", 1],
    ["integersOrStrings", "an array of integers and strings", "['x', 3,\n1.5]", 1],
    ["tables", "an array of tables", "[{},\n1.5]", 1],
  ] as const)("of the wrong type is refused by %s", (getter, expected, text, line) => {
    expect(() => parse(`a = ${text}\n`)[getter]("a")).toThrow(
      new ConfigError("f.toml", line, `a: expected ${expected}, found a float`),
    );
  });

  it("has the type and the line that it has in the file", () => {
    const t = parse("a = ['x',\n3]\n");
    expect(t.integersOrStrings("a")).toEqual([
      { value: "x", line: 1 },
      { value: 3, line: 2 },
    ]);
  });
});

describe("a number", () => {
  const range = { min: 3, max: 5 };
  const getters = {
    integer: (value: number) => parse(`a = ${value}`).integer("a", range),
    number: (value: number) => parse(`a = ${value}`).number("a", range),
    integers: (value: number) => parse(`a = [${value}]`).integers("a", range)?.[0],
    integersOrStrings: (value: number) =>
      parse(`a = [${value}]`).integersOrStrings("a", range)?.[0]?.value,
  };

  it.each(Object.entries(getters))("is in the range that %s gets", (_, get) => {
    expect([3, 4, 5].map(get)).toEqual([3, 4, 5]);
    expect(() => get(2)).toThrow("f.toml:1: a: 2 is too small: at least 3");
    expect(() => get(6)).toThrow("f.toml:1: a: 6 is too large: at most 5");
  });

  it("may have any value without a range, but must be finite", () => {
    expect(parse("a = -1000").integer("a")).toBe(-1000);
    expect(parse("a = 1e300").number("a")).toBe(1e300);
    expect(() => parse("a = inf").number("a")).toThrow("expected a number, found a float");
  });
});

describe("a table", () => {
  it("knows its keys in the order of the file, its lines and its path", () => {
    const t = parse("\n[t.u]\nb = 1\na = 2\n").table("t")?.table("u");
    expect(t?.keys()).toEqual(["b", "a"]);
    expect([t?.file, t?.path, t?.line]).toEqual(["f.toml", "t.u", 2]);
    expect([t?.lineOf("a"), t?.lineOf("c")]).toEqual([4, 2]);
    expect(t?.error("c", "is missing").message).toBe("f.toml:2: t.u.c: is missing");
  });

  it("names the keys that are known, sorted, in place of one that is not", () => {
    const t = parse("x = 1\n");
    t.string("b");
    t.string("a");
    expect(() => t.finish()).toThrow(
      new ConfigError("f.toml", 1, "x: unknown key; known here: a, b"),
    );
  });

  it("may have quoted and dotted keys, also in arrays of tables", () => {
    const t = parse('"a b".c = 1\n[[p.q]]\nx = 1\n[[p.q]]\nx = 2\n');
    expect(t.table("a b")?.integer("c")).toBe(1);
    expect(t.table("p")?.tables("q")).toHaveLength(2);
    expect(t.table("p")?.tables("q")?.[1]?.line).toBe(4);
  });
});

describe("a mistake in the syntax", () => {
  it("is a ConfigError with the parser's error as its cause", () => {
    let error: unknown;
    try {
      parse("\n= 1\n");
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ConfigError);
    expect(error).toMatchObject({ name: "ConfigError", file: "f.toml", line: 2 });
    expect((error as ConfigError).cause).toBeInstanceOf(Error);
  });

  it.each(["just words\n", "a b = c\n", "a = [x]\n", "a = {x}\n"])(
    "is explained in the parser's words in %j",
    (text) => {
      expect(() => parse(text)).toThrow(/^f\.toml:1: (?!TOML requires)/);
    },
  );

  it("quotes the whole text behind the first equals sign, without the comment", () => {
    expect(() => parse("a=b=c # d # e\n")).toThrow('TOML requires quotes around text: a = "b=c"');
  });
});
