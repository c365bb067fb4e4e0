/**
 * LuaJIT's random numbers: scripts that set a seed get the same sequence as in LuaJIT. Pure.
 * @see P. L'Ecuyer, "Tables of Maximally-Equidistributed Combined LFSR Generators" (1999): four
 * generators of 63, 58, 55 and 47 bits, with a period of 2^223
 */

interface Component {
  /** The number of bits that are used: the upper ones of the word. */
  readonly k: bigint;
  readonly q: bigint;
  readonly s: bigint;
}

const COMPONENTS: readonly Component[] = [
  { k: 63n, q: 31n, s: 18n },
  { k: 58n, q: 19n, s: 28n },
  { k: 55n, q: 24n, s: 7n },
  { k: 47n, q: 21n, s: 8n },
];

const WORD = 64n;
const MANTISSA = 52;
/**
 * The number of results that are dropped after a new seed, so that the sequences of similar seeds
 * differ.
 */
const WARM_UP = 10;

const word = (value: bigint): bigint => BigInt.asUintN(64, value);

export class Random {
  #words: bigint[] = [];

  constructor(seed: number) {
    this.seed(seed);
  }

  /** Begins the sequence that LuaJIT returns for this seed. */
  seed(seed: number): void {
    const double = new DataView(new ArrayBuffer(8));
    let d = seed;
    this.#words = COMPONENTS.map(({ k }) => {
      d = d * Math.PI + Math.E;
      double.setFloat64(0, d);
      // The bits that are used must not all be 0.
      const least = 1n << (WORD - k);
      const bits = double.getBigUint64(0);
      return bits < least ? bits + least : bits;
    });
    for (let i = 0; i < WARM_UP; i++) this.#step();
  }

  /** Returns a number from 0 up to, but not including, 1. */
  next(): number {
    return Number(BigInt.asUintN(MANTISSA, this.#step())) / 2 ** MANTISSA;
  }

  #step(): bigint {
    let result = 0n;
    for (const [i, { k, q, s }] of COMPONENTS.entries()) {
      const z = this.#words[i] ?? 0n;
      const unused = WORD - k;
      const next = (word((z << q) ^ z) >> (k - s)) ^ word(((z >> unused) << unused) << s);
      this.#words[i] = next;
      result ^= next;
    }
    return result;
  }
}
