/** The items of a Lua pattern that match a single character. Pure, except for a cache. */

/** Thrown for an invalid pattern. */
export class PatternError extends Error {
  override name = "PatternError";
}

export interface Item {
  /** The position at which the item ends in the pattern. */
  readonly end: number;
  /** For each byte, 1 if the item matches it, otherwise 0; undefined if only `literal` matches. */
  readonly set: Uint8Array | undefined;
  readonly literal: number;
}

/** The items of a pattern. Each is parsed, which may fail, only when a match first reaches it. */
export interface PatternItems {
  /** @throws PatternError */
  at(position: number): Item;
}

const MAX_KEPT = 200;
const MAX_KEPT_LENGTH = 200;
const kept = new Map<string, PatternItems>();

/**
 * Returns the items of a pattern. They are kept, because scripts use the same few patterns again
 * and again.
 */
export function patternItems(pattern: string): PatternItems {
  const known = kept.get(pattern);
  if (known !== undefined) return known;
  const items = newItems(pattern);
  if (pattern.length <= MAX_KEPT_LENGTH) {
    if (kept.size >= MAX_KEPT) kept.clear();
    kept.set(pattern, items);
  }
  return items;
}

function newItems(pattern: string): PatternItems {
  const items: (Item | undefined)[] = [];
  return {
    at: (position) => {
      const known = items[position];
      if (known !== undefined) return known;
      const item = itemAt(pattern, position);
      items[position] = item;
      return item;
    },
  };
}

function itemAt(pattern: string, p: number): Item {
  const literal = pattern.charCodeAt(p);
  switch (pattern[p]) {
    case ".":
      return { end: p + 1, set: anything, literal };
    case "%": {
      if (p + 1 >= pattern.length) throw new PatternError("malformed pattern (ends with '%')");
      const letter = pattern.charCodeAt(p + 1);
      return { end: p + 2, set: classOf(letter), literal: letter };
    }
    case "[": {
      const end = setEnd(pattern, p);
      return { end, set: setOf(pattern, p, end - 1), literal };
    }
    default:
      return { end: p + 1, set: undefined, literal };
  }
}

function setEnd(pattern: string, from: number): number {
  let p = from + 1;
  if (pattern[p] === "^") p++;
  // A `]` that comes first stands for itself.
  do {
    if (p >= pattern.length) throw new PatternError("malformed pattern (missing ']')");
    p += pattern[p] === "%" ? 2 : 1;
  } while (pattern[p] !== "]");
  return p + 1;
}

/** Returns the bytes that a set matches. @param last the position of its `]` */
function setOf(pattern: string, from: number, last: number): Uint8Array {
  const negated = pattern[from + 1] === "^";
  const set = new Uint8Array(256);
  for (let p = from + (negated ? 2 : 1); p < last; p++) {
    const c = pattern.charCodeAt(p);
    if (pattern[p] === "%") {
      const letter = pattern.charCodeAt(++p);
      const members = classOf(letter);
      if (members === undefined) set[letter] = 1;
      else for (let n = 0; n < 256; n++) if (members[n] === 1) set[n] = 1;
    } else if (pattern[p + 1] === "-" && p + 2 < last) {
      const high = pattern.charCodeAt(p + 2);
      if (c <= high) set.fill(1, c, high + 1);
      p += 2;
    } else {
      set[c] = 1;
    }
  }
  return negated ? complement(set) : set;
}

const complement = (set: Uint8Array) => set.map((member) => 1 - member);

const anything = new Uint8Array(256).fill(1);

const isLower = (c: number) => c >= 0x61 && c <= 0x7a;
const isUpper = (c: number) => c >= 0x41 && c <= 0x5a;
const isAlpha = (c: number) => isLower(c) || isUpper(c);
const isDigit = (c: number) => c >= 0x30 && c <= 0x39;
const isAlnum = (c: number) => isAlpha(c) || isDigit(c);
const isGraph = (c: number) => c > 0x20 && c < 0x7f;

/** The classes by their lower-case letters; the upper-case letter stands for the complement. */
const classes: Record<string, (c: number) => boolean> = {
  a: isAlpha,
  c: (c) => c < 0x20 || c === 0x7f,
  d: isDigit,
  g: isGraph,
  l: isLower,
  p: (c) => isGraph(c) && !isAlnum(c),
  s: (c) => c === 0x20 || (c >= 9 && c <= 13),
  u: isUpper,
  w: isAlnum,
  x: (c) => isDigit(c) || (c >= 0x41 && c <= 0x46) || (c >= 0x61 && c <= 0x66),
  z: (c) => c === 0,
};

const sets = new Map<number, Uint8Array>();
for (const [letter, isMember] of Object.entries(classes)) {
  const set = Uint8Array.from({ length: 256 }, (_, c) => Number(isMember(c)));
  sets.set(letter.charCodeAt(0), set);
  sets.set(letter.toUpperCase().charCodeAt(0), complement(set));
}

/** Returns the class that `%` makes of a character; undefined if the character means itself. */
function classOf(letter: number): Uint8Array | undefined {
  return sets.get(letter);
}
