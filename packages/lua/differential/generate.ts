/** Generates random Lua expressions, the same ones for the same seed. */
import { sequence } from "./side-by-side.ts";

type Random = () => number;

interface Kind {
  readonly name: string;
  readonly line: (g: Generator) => string;
}

export interface Case {
  readonly kind: string;
  readonly line: string;
}

/** Generates `count` cases, equally many of each kind. */
export function generateCases(count: number, seed: number): Case[] {
  const g = new Generator(sequence(seed));
  return Array.from({ length: count }, (_, i) => {
    const kind = kinds[i % kinds.length] ?? fallback;
    return { kind: kind.name, line: kind.line(g) };
  });
}

class Generator {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  int(low: number, high: number): number {
    return low + Math.floor(this.#random() * (high - low + 1));
  }

  pick<T>(list: readonly [T, ...T[]]): T {
    return list[Math.floor(this.#random() * list.length)] ?? list[0];
  }

  many(low: number, high: number, make: () => string, separator = ""): string {
    return Array.from({ length: this.int(low, high) }, make).join(separator);
  }

  number(): string {
    switch (this.int(0, 6)) {
      case 0:
        return String(this.int(-10, 10));
      case 1:
        return String(this.int(-2_000_000_000, 2_000_000_000));
      case 2:
        return `${this.int(-1000, 1000)}/${this.int(1, 99)}`.replace(/^/, "(").concat(")");
      case 3:
        return ((this.#random() - 0.5) * 10 ** this.int(-12, 20)).toPrecision(this.int(1, 17));
      case 4:
        return this.pick([
          "0/0",
          "1/0",
          "-1/0",
          "-0",
          "2^31",
          "2^32",
          "2^53",
          "-2^31",
          "1e15",
          "1e100",
        ])
          .replace(/^/, "(")
          .concat(")");
      case 5:
        return `0x${this.int(0, 0xffff).toString(16)}`;
      default:
        return `${this.int(-100, 100)}.${this.int(0, 999)}`;
    }
  }

  /** Returns the literal of a short string of arbitrary bytes. */
  string(): string {
    return `"${this.many(0, 12, () =>
      this.pick([
        () => this.pick(["a", "b", "A", "Z", "x", "foo", " ", ",", "0", "1", "12", ".", "-", "%%"]),
        () => this.pick(["a", "ab", "\\n", "\\t", "\\\\", "=", "/", "(", ")", "[", "]", "_"]),
        () => `\\${String(this.int(0, 255)).padStart(3, "0")}`,
      ])(),
    )}"`;
  }

  pattern(): string {
    const single = () =>
      this.pick([
        "a",
        "b",
        "x",
        ".",
        "%a",
        "%d",
        "%s",
        "%w",
        "%p",
        "%l",
        "%u",
        "%x",
        "%c",
        "%z",
        "%%",
        "[a-c]",
        "[^a]",
        "[%d.]",
        "[]]",
        "[^%s,]",
        "[a-]",
        "%.",
        "%(",
        "1",
        "[%w_]",
      ]);
    const item = (): string =>
      this.pick([
        () => single(),
        () => single() + this.pick(["*", "+", "-", "?"]),
        () => `(${single()}${this.pick(["*", "+", "-", "?", ""])})`,
        () => this.pick(["()", "%b()", "%f[%w]", "%1", "(%a+)", "(.-)"]),
      ])();
    // Some patterns are invalid.
    const broken = () => this.pick(["[", "%", "(", ")", "[a", "%f", "%b", "%2", "[^", "[%"]);
    const body = this.many(1, 4, () => (this.int(0, 40) === 0 ? broken() : item()));
    return `"${this.pick(["", "", "^"])}${body}${this.pick(["", "", "$"])}"`;
  }

  format(): string {
    const letter = this.pick([
      "d",
      "i",
      "u",
      "x",
      "X",
      "o",
      "c",
      "e",
      "E",
      "f",
      "g",
      "G",
      "s",
      "q",
      "a",
    ]);
    const flags = this.many(0, 2, () => this.pick(["-", "+", " ", "#", "0"]));
    const width = this.pick(["", "", "5", "12", "1"]);
    const precision = this.pick(["", "", ".0", ".3", ".10", "."]);
    return letter === "q" ? "%q" : `%${flags}${width}${precision}${letter}`;
  }

  value(): string {
    return this.pick([
      () => this.number(),
      () => this.string(),
      () => this.pick(["nil", "true", "false", "{}", "print"]),
    ])();
  }
}

/** Returns an argument that is not a large number, because a function might count up to it. */
const argument = (g: Generator): string =>
  g.pick([
    () => String(g.int(-5, 5)),
    () => g.string(),
    () => g.value().replace(/^.*\d.*$/, "1.5"),
  ])();

const fallback: Kind = { name: "nothing", line: () => "nil" };

const kinds: readonly Kind[] = [
  {
    name: "arithmetic",
    line: (g) =>
      `${g.number()} ${g.pick(["+", "-", "*", "/", "%", "^"])} ${g.number()}, ` +
      `${g.number()} ${g.pick(["<", "<=", "==", "~=", ">"])} ${g.number()}`,
  },
  {
    name: "mathematics",
    line: (g) =>
      g.pick([
        `math.${g.pick(["floor", "ceil", "abs", "sqrt", "modf", "frexp", "deg", "rad"])}(${g.number()})`,
        `math.${g.pick(["fmod", "max", "min", "ldexp"])}(${g.number()}, ${g.int(-5, 20)})`,
        `bit.${g.pick(["band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror"])}(${g.number()}, ${g.number()})`,
        `bit.${g.pick(["tobit", "bnot", "bswap", "tohex"])}(${g.number()})`,
      ]),
  },
  {
    name: "conversion",
    line: (g) =>
      g.pick([
        `tonumber(${g.string()})`,
        `tonumber("${g.number().replace(/[()]/g, "")}")`,
        `tonumber("${g.many(1, 6, () => g.pick(["0", "7", "9", "a", "f", "z", "-", " ", "x"]))}", ${g.int(2, 36)})`,
        `tostring(${g.number()}), ${g.number()} .. ""`,
      ]),
  },
  {
    name: "format",
    line: (g) => `string.format("${g.format()}|${g.format()}", ${g.value()}, ${g.value()})`,
  },
  {
    name: "strings",
    line: (g) =>
      g.pick([
        `${g.string()}:sub(${g.int(-9, 9)}, ${g.int(-9, 9)})`,
        `${g.string()}:byte(${g.int(-9, 9)}, ${g.int(-9, 9)})`,
        `${g.string()}:rep(${g.int(-1, 3)}, ${g.string()})`,
        `${g.string()}:${g.pick(["upper", "lower", "reverse", "len"])}()`,
        `${g.string()} .. ${g.value()}`,
        `${g.string()} < ${g.string()}, ${g.string()} == ${g.string()}, #${g.string()}`,
      ]),
  },
  {
    name: "patterns",
    line: (g) =>
      g.pick([
        `(${g.string()}):${g.pick(["find", "match"])}(${g.pattern()}, ${g.int(-5, 6)})`,
        `(${g.string()}):gsub(${g.pattern()}, ${g.pick(['"<%0>"', '"%1"', '"x"', "{a=1}", "string.upper", '"%%"'])}, ${g.int(0, 5)})`,
        `(function() local t = {} for a, b in (${g.string()}):gmatch(${g.pattern()}) do t[#t + 1] = tostring(a) .. ":" .. tostring(b) end return table.concat(t, ";") end)()`,
      ]),
  },
  {
    name: "tables without holes",
    line: (g) =>
      `(function() local t = {${g.many(0, 6, () => g.number(), ", ")}} ` +
      g.many(1, 5, () =>
        g.pick([
          `table.insert(t, ${g.number()}) `,
          `table.insert(t, ${g.int(1, 4)} > #t and #t + 1 or 1, ${g.string()}) `,
          "table.remove(t) ",
          "table.remove(t, 1) ",
          `t[#t + 1] = ${g.string()} `,
          "t.x = 1 ",
        ]),
      ) +
      // The position of the key x among the other keys differs between processes of LuaJIT.
      "local s = {} for k, v in pairs(t) do if k ~= 'x' then s[#s + 1] = tostring(k) end end " +
      "return #t, table.concat(s, ' '), table.maxn(t), select('#', unpack(t)) end)()",
  },
  {
    name: "sorting",
    line: (g) =>
      `(function() local t = {${g.many(0, 12, () => (g.int(0, 30) === 0 ? g.value() : String(g.int(-50, 50))), ", ")}} ` +
      `table.sort(t${g.pick(["", ", function(a, b) return a > b end"])}) ` +
      "for i = 1, #t do t[i] = tostring(t[i]) end return table.concat(t, ',') end)()",
  },
  {
    name: "dates",
    line: (g) => {
      const time = g.pick([g.int(-2_000_000_000, 4_000_000_000), g.int(-1e11, 1e11)]);
      const letters = "aAbBcCdDeFgGHIjklmMnpPrRsSTuUVwWxXyYzZ%EO+Q";
      const format = g.many(
        1,
        5,
        () =>
          `%${g.pick(["", "", "", "_", "-", "0", "^", "5"])}${letters[g.int(0, letters.length - 1)]}`,
        "|",
      );
      return g.pick([
        `os.date("${g.pick(["", "!"])}${format}", ${time})`,
        `os.time({year=${g.int(1900, 2100)}, month=${g.int(-20, 30)}, day=${g.int(-50, 80)}, hour=${g.int(-30, 50)}, min=${g.int(-90, 90)}, sec=${g.int(-90, 90)}${g.pick(["", ", isdst=true", ", isdst=false"])}})`,
        `os.time(os.date("*t", ${time})), os.date("*t", ${time}).isdst`,
      ]);
    },
  },
  {
    name: "errors",
    line: (g) =>
      g.pick([
        `(function() local v = ${g.value()} return v${g.pick([".x", "()", "[1]", ".x.y", ":m()", " + 1", " .. 'a'", " < 1"])} end)()`,
        `(function() return ${g.value()} ${g.pick(["+", "..", "<", "*"])} ${g.value()} end)()`,
        `(function() error(${g.value()}, ${g.int(0, 2)}) end)()`,
        `(function() assert(${g.value()}, ${g.value()}) return 1 end)()`,
        `(function() for i = ${argument(g)}, ${g.int(1, 3)} do end return 1 end)()`,
      ]),
  },
  {
    name: "arguments",
    line: (g) => {
      const f = g.pick([
        "string.rep",
        "string.sub",
        "string.byte",
        "string.char",
        "string.find",
        "string.format",
        "string.gsub",
        "table.concat",
        "table.insert",
        "table.remove",
        "unpack",
        "select",
        "tonumber",
        "ipairs",
        "pairs",
        "next",
        "rawget",
        "rawset",
        "setmetatable",
        "math.floor",
        "math.max",
        "bit.band",
        "os.time",
        "os.date",
        "tostring",
        "string.upper",
        "coroutine.create",
        "coroutine.status",
        "table.sort",
      ]);
      const call = `${f}(${g.many(0, 3, () => argument(g), ", ")})`;
      return g.pick([call, `(function() return (${call}) end)()`]);
    },
  },
  {
    name: "syntax",
    line: (g) =>
      `loadstring(${JSON.stringify(
        g.many(
          1,
          8,
          () =>
            g.pick([
              "x",
              "=",
              "1",
              "local",
              "end",
              "if",
              "then",
              "(",
              ")",
              "{",
              "}",
              "'a",
              "..",
              "for",
              "do",
              "f",
              ",",
              "return",
              "0x",
              "goto",
              "::",
              "~",
              "1e",
              "[[",
              "--",
            ]),
          " ",
        ),
      ).replaceAll("\\\\", "\\")})`,
  },
  {
    name: "coroutines",
    line: (g) =>
      `(function() local co = coroutine.create(function(a) ${g.many(0, 3, () => g.pick(["a = coroutine.yield(a) ", "error('e') ", "pcall(coroutine.yield, 1) ", "local x = nil + 1 "]))} return a end) ` +
      `local r = {} for i = 1, ${g.int(1, 4)} do local ok, v = coroutine.resume(co, i) r[#r + 1] = tostring(ok) .. tostring(v) .. coroutine.status(co) end return table.concat(r, ";") end)()`,
  },
];
