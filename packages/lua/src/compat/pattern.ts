/**
 * Lua's patterns, matched by backtracking (Lua 5.1 manual, section 5.4.1). Positions
 * count from 0 here. Pure, but for the steps that are counted.
 */

/** A pattern that cannot be used. */
export class PatternError extends Error {
  override name = "PatternError";
}

interface Capture {
  start: number;
  /** OPEN until its `)` is reached, POSITION for `()`. */
  length: number;
}

const OPEN = -1;
const POSITION = -2;
const MAX_CAPTURES = 32;
const MAX_DEPTH = 200;

const PERCENT = 0x25;

export class Matcher {
  readonly #source: string;
  readonly #pattern: string;
  readonly #step: () => void;
  #captures: Capture[] = [];
  #depth = 0;

  /** @param step called for each step; may throw to end an endless match */
  constructor(source: string, pattern: string, step: () => void) {
    this.#source = source;
    this.#pattern = pattern;
    this.#step = step;
  }

  /** Matches at `start`. @returns the end of the match, or undefined */
  matchAt(start: number, patternStart: number): number | undefined {
    this.#captures = [];
    this.#depth = 0;
    return this.#match(start, patternStart);
  }

  get captureCount(): number {
    return this.#captures.length;
  }

  /** The text of a match. */
  whole(start: number, end: number): string {
    return this.#source.slice(start, end);
  }

  /** A capture: its text, or its position counted from 1. Without any, the whole match. */
  capture(index: number, start: number, end: number): string | number {
    const capture = this.#captures[index];
    if (capture === undefined) {
      if (index === 0) return this.whole(start, end);
      throw new PatternError("invalid capture index");
    }
    if (capture.length === POSITION) return capture.start + 1;
    if (capture.length === OPEN) throw new PatternError("unfinished capture");
    return this.#source.slice(capture.start, capture.start + capture.length);
  }

  #match(from: number, patternFrom: number): number | undefined {
    if (++this.#depth > MAX_DEPTH) throw new PatternError("pattern too complex");
    try {
      return this.#matchHere(from, patternFrom);
    } finally {
      this.#depth--;
    }
  }

  #matchHere(from: number, patternFrom: number): number | undefined {
    const pattern = this.#pattern;
    let s = from;
    let p = patternFrom;
    for (;;) {
      this.#step();
      if (p === pattern.length) return s;
      switch (pattern[p]) {
        case "(":
          return pattern[p + 1] === ")"
            ? this.#open(s, p + 2, POSITION)
            : this.#open(s, p + 1, OPEN);
        case ")":
          return this.#close(s, p + 1);
        case "$":
          if (p + 1 === pattern.length) return s === this.#source.length ? s : undefined;
          break;
        case "%": {
          const next = pattern[p + 1];
          if (next === "b") {
            const end = this.#balance(s, p + 2);
            if (end === undefined) return undefined;
            s = end;
            p += 4;
            continue;
          }
          if (next === "f") {
            const end = this.#frontier(s, p + 2);
            if (end === undefined) return undefined;
            p = end;
            continue;
          }
          if (next !== undefined && next >= "0" && next <= "9") {
            const end = this.#backReference(s, next);
            if (end === undefined) return undefined;
            s = end;
            p += 2;
            continue;
          }
          break;
        }
      }
      const end = this.#itemEnd(p);
      switch (pattern[end]) {
        case "?": {
          if (this.#matchesOne(s, p, end)) {
            const rest = this.#match(s + 1, end + 1);
            if (rest !== undefined) return rest;
          }
          p = end + 1;
          continue;
        }
        case "*":
          return this.#longest(s, p, end, 0);
        case "+":
          return this.#longest(s, p, end, 1);
        case "-":
          return this.#shortest(s, p, end);
        default:
          if (!this.#matchesOne(s, p, end)) return undefined;
          s++;
          p = end;
      }
    }
  }

  /** As many as possible, then fewer. */
  #longest(s: number, p: number, end: number, least: number): number | undefined {
    let count = 0;
    while (this.#matchesOne(s + count, p, end)) {
      this.#step();
      count++;
    }
    for (; count >= least; count--) {
      const rest = this.#match(s + count, end + 1);
      if (rest !== undefined) return rest;
    }
    return undefined;
  }

  /** As few as possible, then more. */
  #shortest(from: number, p: number, end: number): number | undefined {
    for (let s = from; ; s++) {
      const rest = this.#match(s, end + 1);
      if (rest !== undefined) return rest;
      if (!this.#matchesOne(s, p, end)) return undefined;
    }
  }

  #open(s: number, p: number, length: number): number | undefined {
    if (this.#captures.length >= MAX_CAPTURES) throw new PatternError("too many captures");
    this.#captures.push({ start: s, length });
    const rest = this.#match(s, p);
    if (rest === undefined) this.#captures.pop();
    return rest;
  }

  #close(s: number, p: number): number | undefined {
    const capture = this.#captures.findLast(({ length }) => length === OPEN);
    if (capture === undefined) throw new PatternError("invalid pattern capture");
    capture.length = s - capture.start;
    const rest = this.#match(s, p);
    if (rest === undefined) capture.length = OPEN;
    return rest;
  }

  #balance(from: number, p: number): number | undefined {
    const open = this.#pattern[p];
    const close = this.#pattern[p + 1];
    if (open === undefined || close === undefined) throw new PatternError("unbalanced pattern");
    if (this.#source[from] !== open) return undefined;
    let depth = 1;
    for (let s = from + 1; s < this.#source.length; s++) {
      const c = this.#source[s];
      // Where both are the same, it closes.
      if (c === close) {
        if (--depth === 0) return s + 1;
      } else if (c === open) {
        depth++;
      }
    }
    return undefined;
  }

  /** @returns where the pattern goes on */
  #frontier(s: number, p: number): number | undefined {
    if (this.#pattern[p] !== "[") throw new PatternError("missing '[' after '%f' in pattern");
    const end = this.#itemEnd(p);
    const before = s === 0 ? 0 : this.#source.charCodeAt(s - 1);
    const here = s === this.#source.length ? 0 : this.#source.charCodeAt(s);
    const crossing = !this.#inSet(before, p, end - 1) && this.#inSet(here, p, end - 1);
    return crossing ? end : undefined;
  }

  #backReference(s: number, digit: string): number | undefined {
    const capture = this.#captures[Number(digit) - 1];
    if (capture === undefined || capture.length === OPEN)
      throw new PatternError("invalid capture index");
    const length = Math.max(capture.length, 0);
    const text = this.#source.slice(capture.start, capture.start + length);
    return this.#source.startsWith(text, s) ? s + length : undefined;
  }

  /** The end of the single-character item at `p`. */
  #itemEnd(p: number): number {
    const c = this.#pattern[p];
    if (c === "%") {
      if (p + 1 >= this.#pattern.length)
        throw new PatternError("malformed pattern (ends with '%')");
      return p + 2;
    }
    return c === "[" ? this.#setEnd(p) : p + 1;
  }

  #setEnd(from: number): number {
    let p = from + 1;
    if (this.#pattern[p] === "^") p++;
    // A `]` in the first place stands for itself.
    do {
      if (p >= this.#pattern.length) throw new PatternError("malformed pattern (missing ']')");
      p += this.#pattern[p] === "%" ? 2 : 1;
    } while (this.#pattern[p] !== "]");
    return p + 1;
  }

  #matchesOne(s: number, p: number, end: number): boolean {
    if (s >= this.#source.length) return false;
    const c = this.#source.charCodeAt(s);
    switch (this.#pattern[p]) {
      case ".":
        return true;
      case "%":
        return isClass(c, this.#pattern.charCodeAt(p + 1));
      case "[":
        return this.#inSet(c, p, end - 1);
      default:
        return this.#pattern.charCodeAt(p) === c;
    }
  }

  /** @param last where the set's `]` is */
  #inSet(c: number, from: number, last: number): boolean {
    const pattern = this.#pattern;
    const negated = pattern[from + 1] === "^";
    for (let p = from + (negated ? 2 : 1); p < last; p++) {
      const code = pattern.charCodeAt(p);
      if (code === PERCENT) {
        p++;
        if (isClass(c, pattern.charCodeAt(p))) return !negated;
      } else if (pattern[p + 1] === "-" && p + 2 < last) {
        if (code <= c && c <= pattern.charCodeAt(p + 2)) return !negated;
        p += 2;
      } else if (code === c) {
        return !negated;
      }
    }
    return negated;
  }
}

const isLower = (c: number) => c >= 0x61 && c <= 0x7a;
const isUpper = (c: number) => c >= 0x41 && c <= 0x5a;
const isAlpha = (c: number) => isLower(c) || isUpper(c);
const isDigit = (c: number) => c >= 0x30 && c <= 0x39;
const isAlnum = (c: number) => isAlpha(c) || isDigit(c);
const isGraph = (c: number) => c > 0x20 && c < 0x7f;

/** By the small letter; the capital one is the complement. */
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

/** What `%` and a character stand for: a class, or the character itself. */
function isClass(c: number, letter: number): boolean {
  const member = isAlpha(letter) ? classes[String.fromCharCode(letter | 0x20)] : undefined;
  if (member === undefined) return c === letter;
  return member(c) === isLower(letter);
}
