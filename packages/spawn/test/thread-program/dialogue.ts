import type { Dialogue } from "../../src/thread/dialogue.ts";

export interface TestDialogue extends Dialogue {
  readonly requests: {
    start(): { role: string; options: unknown };
    add(a: number, b: number): number;
    nothing(): void;
    /** Is answered when the command `release` comes. */
    hold(value: string): string;
    takeSaid(): string[];
    throwError(message: string): void;
    exit(status: number): void;
    /** Ends the loop, so that the thread returns without an answer. */
    returnFirst(): void;
    answerThenThrow(): string;
    exhaustMemory(): void;
    uncloneable(): string;
  };
  readonly commands: {
    say(text: string): void;
    release(): void;
    tell(count: number): void;
    stop(): void;
  };
  readonly events: {
    told(number: number, text: string): void;
  };
}
