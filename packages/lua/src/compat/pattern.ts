/**
 * Lua's patterns, matched by backtracking (Lua 5.1 manual, section 5.4.1). Positions count from
 * 0. Pure, except that steps are counted.
 */
import { cut } from "./lua-string.ts";
import { type Item, PatternError, type PatternItems, patternItems } from "./pattern-items.ts";

export { PatternError } from "./pattern-items.ts";

interface Capture {
  start: number;
  /** OPEN until its `)` is reached, POSITION for `()`. */
  length: number;
}

const OPEN = -1;
const POSITION = -2;
const MAX_CAPTURES = 32;
const MAX_DEPTH = 200;
/** Steps are passed to `spend` once there are this many. */
const STEPS = 4096;

const code = (c: string) => c.charCodeAt(0);
const PERCENT = code("%");
const DOLLAR = code("$");
const OPENING = code("(");
const CLOSING = code(")");
const BRACKET = code("[");
const STAR = code("*");
const PLUS = code("+");
const MINUS = code("-");
const QUESTION = code("?");
const BALANCE = code("b");
const FRONTIER = code("f");
const ZERO = code("0");
const NINE = code("9");

export class Matcher {
  readonly #source: string;
  readonly #pattern: string;
  readonly #items: PatternItems;
  readonly #spend: (steps: number) => void;
  #captures: Capture[] = [];
  #depth = 0;
  #steps = 0;

  /**
   * Prepares a match.
   * @param spend called after every few thousand steps; may throw to end an endless match
   */
  constructor(source: string, pattern: string, spend: (steps: number) => void) {
    this.#source = source;
    this.#pattern = pattern;
    this.#items = patternItems(pattern);
    this.#spend = spend;
  }

  /** Matches at `start`. @returns the end of the match, or undefined */
  matchAt(start: number, patternStart: number): number | undefined {
    if (this.#captures.length > 0) this.#captures = [];
    this.#depth = 0;
    return this.#match(start, patternStart);
  }

  /** Passes the steps that have not been counted yet to `spend`. */
  finish(): void {
    const steps = this.#steps;
    this.#steps = 0;
    this.#spend(steps);
  }

  get captureCount(): number {
    return this.#captures.length;
  }

  /** Returns the text of a match. */
  whole(start: number, end: number): string {
    return cut(this.#source, start, end);
  }

  /**
   * Returns a capture: its text, or its position counted from 1. If the pattern has no captures,
   * the first is the whole match.
   */
  capture(index: number, start: number, end: number): string | number {
    const capture = this.#captures[index];
    if (capture === undefined) {
      if (index === 0) return this.whole(start, end);
      throw new PatternError("invalid capture index");
    }
    if (capture.length === POSITION) return capture.start + 1;
    if (capture.length === OPEN) throw new PatternError("unfinished capture");
    return cut(this.#source, capture.start, capture.start + capture.length);
  }

  #count(steps: number): void {
    this.#steps += steps;
    if (this.#steps >= STEPS) this.finish();
  }

  #match(from: number, patternFrom: number): number | undefined {
    if (++this.#depth > MAX_DEPTH) throw new PatternError("pattern too complex");
    const end = this.#matchHere(from, patternFrom);
    this.#depth--;
    return end;
  }

  #matchHere(from: number, patternFrom: number): number | undefined {
    const pattern = this.#pattern;
    let s = from;
    let p = patternFrom;
    for (;;) {
      this.#count(1);
      if (p === pattern.length) return s;
      switch (pattern.charCodeAt(p)) {
        case OPENING:
          return pattern.charCodeAt(p + 1) === CLOSING
            ? this.#open(s, p + 2, POSITION)
            : this.#open(s, p + 1, OPEN);
        case CLOSING:
          return this.#close(s, p + 1);
        case DOLLAR:
          if (p + 1 === pattern.length) return s === this.#source.length ? s : undefined;
          break;
        case PERCENT: {
          const next = pattern.charCodeAt(p + 1);
          if (next === BALANCE) {
            const end = this.#balance(s, p + 2);
            if (end === undefined) return undefined;
            s = end;
            p += 4;
            continue;
          }
          if (next === FRONTIER) {
            const end = this.#frontier(s, p + 2);
            if (end === undefined) return undefined;
            p = end;
            continue;
          }
          if (next >= ZERO && next <= NINE) {
            const end = this.#backReference(s, next - ZERO);
            if (end === undefined) return undefined;
            s = end;
            p += 2;
            continue;
          }
          break;
        }
      }
      const item = this.#items.at(p);
      switch (pattern.charCodeAt(item.end)) {
        case QUESTION: {
          if (this.#matchesOne(s, item)) {
            const rest = this.#match(s + 1, item.end + 1);
            if (rest !== undefined) return rest;
          }
          p = item.end + 1;
          continue;
        }
        case STAR:
          return this.#longest(s, item, 0);
        case PLUS:
          return this.#longest(s, item, 1);
        case MINUS:
          return this.#shortest(s, item);
        default:
          if (!this.#matchesOne(s, item)) return undefined;
          s++;
          p = item.end;
      }
    }
  }

  /** Matches an item as many times as possible, then fewer times. */
  #longest(s: number, item: Item, least: number): number | undefined {
    let last = s;
    while (this.#matchesOne(last, item)) last++;
    this.#count(last - s);
    for (; last >= s + least; last--) {
      const rest = this.#match(last, item.end + 1);
      if (rest !== undefined) return rest;
    }
    return undefined;
  }

  /** Matches an item as few times as possible, then more times. */
  #shortest(from: number, item: Item): number | undefined {
    let s = from;
    for (;;) {
      const rest = this.#match(s, item.end + 1);
      if (rest !== undefined) return rest;
      if (!this.#matchesOne(s, item)) return undefined;
      s++;
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
    if (p + 1 >= this.#pattern.length) throw new PatternError("unbalanced pattern");
    const source = this.#source;
    const open = this.#pattern.charCodeAt(p);
    const close = this.#pattern.charCodeAt(p + 1);
    if (source.charCodeAt(from) !== open) return undefined;
    let depth = 1;
    for (let s = from + 1; s < source.length; s++) {
      this.#count(1);
      const c = source.charCodeAt(s);
      // If the two characters are the same, each further one closes.
      if (c === close) {
        if (--depth === 0) return s + 1;
      } else if (c === open) {
        depth++;
      }
    }
    return undefined;
  }

  /** Matches `%f`. @returns the position at which the pattern continues */
  #frontier(s: number, p: number): number | undefined {
    if (this.#pattern.charCodeAt(p) !== BRACKET)
      throw new PatternError("missing '[' after '%f' in pattern");
    const { set, end } = this.#items.at(p);
    const before = s === 0 ? 0 : this.#source.charCodeAt(s - 1);
    const here = s === this.#source.length ? 0 : this.#source.charCodeAt(s);
    return set?.[before] === 0 && set[here] === 1 ? end : undefined;
  }

  #backReference(s: number, digit: number): number | undefined {
    const capture = this.#captures[digit - 1];
    if (capture === undefined || capture.length === OPEN)
      throw new PatternError("invalid capture index");
    const length = Math.max(capture.length, 0);
    this.#count(length);
    const text = this.#source.slice(capture.start, capture.start + length);
    return this.#source.startsWith(text, s) ? s + length : undefined;
  }

  #matchesOne(s: number, { set, literal }: Item): boolean {
    if (s >= this.#source.length) return false;
    const c = this.#source.charCodeAt(s);
    return set === undefined ? c === literal : set[c] === 1;
  }
}
