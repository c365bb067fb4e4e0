/** A worker that carries out all requests of a test, even those that end the thread. */
import { EventLoop } from "../../src/thread/event-loop.ts";
import { ParentThread, workerOptions, workerRole } from "../../src/thread/parent-thread.ts";
import type { TestDialogue } from "./dialogue.ts";

const loop = new EventLoop();
const parent = new ParentThread<TestDialogue>();
const held: (() => void)[] = [];
const said: string[] = [];

parent.listen(loop, {
  requests: {
    start: () => ({ role: workerRole(), options: workerOptions() }),
    add: (a, b) => a + b,
    nothing: () => undefined,
    hold: (value) => (answer) => held.push(() => answer(value)),
    takeSaid: () => said.splice(0),
    throwError: (message) => {
      throw new Error(message);
    },
    exit: (status) => process.exit(status),
    returnFirst: () => () => loop.stop(),
    answerThenThrow: () => {
      loop.after(0, () => {
        throw new Error("after the answer");
      });
      return "answered";
    },
    exhaustMemory: () => {
      const kept: number[][] = [];
      for (;;) kept.push(Array.from({ length: 1e5 }, (_, i) => i));
    },
    uncloneable: () => (answer) => answer((() => undefined) as unknown as string),
  },
  commands: {
    say: (text) => said.push(text),
    release: () => {
      // The last request first: a worker may answer in any order.
      for (const answer of held.splice(0).reverse()) answer();
    },
    tell: (count) => {
      for (let i = 0; i < count; i++) parent.post("told", i, `event ${i}`);
    },
    stop: () => loop.stop(),
  },
});
loop.run();
loop.close();
