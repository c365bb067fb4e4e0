/** Draws frames again and again, until `q` is typed or a signal arrives. Arrow keys scroll. */
import type { ReadStream, WriteStream } from "node:tty";
import { encodeFrame, SCROLL_HINT, type Size, scroll } from "./frame.ts";

/**
 * Switches to the alternate screen, so that the terminal's contents come back later, and hides
 * the cursor.
 */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";

const CONTROL_C = "\x03";

export interface WatchOptions {
  /**
   * Makes the lines of the next frame. It is not called again before the previous call has
   * returned or resolved.
   */
  readonly draw: () => readonly string[] | Promise<readonly string[]>;
  readonly intervalMs: number;
  /** True to draw each frame on the whole terminal, false to print one frame below the other. */
  readonly fullScreen: boolean;
  readonly input: ReadStream;
  readonly output: WriteStream;
}

/** Returns the size of a terminal; 80 by 24 if the terminal reports no size, or 0. */
function sizeOf({ columns = 0, rows = 0 }: Partial<Size>): Size {
  return { columns: columns || 80, rows: rows || 24 };
}

/**
 * Draws until `q` or Control-C is typed, until SIGINT, SIGTERM or SIGHUP arrives, or until writing
 * fails, which output.ts reports. In each of these cases, and if `draw` fails, the terminal is
 * restored.
 * @throws the errors of `draw`
 */
export async function watch(options: WatchOptions): Promise<void> {
  const { draw, intervalMs, fullScreen, input, output } = options;
  const hasKeys = fullScreen && input.isTTY;
  let release = () => {};
  try {
    await new Promise<void>((end, fail) => {
      let lines: readonly string[] = [];
      let first = 0;
      const paint = (typed = "") => {
        if (!fullScreen) {
          output.write(`${lines.join("\n")}\n`);
          return;
        }
        const size = sizeOf(output);
        first = scroll(first, typed, lines.length, size);
        output.write(encodeFrame(lines, size, first, hasKeys ? SCROLL_HINT : ""));
      };
      let isDrawing = false;
      let isOver = false;
      const redraw = async () => {
        if (isDrawing) return;
        isDrawing = true;
        try {
          lines = await draw();
          if (!isOver) paint();
        } catch (error) {
          fail(error);
        }
        isDrawing = false;
      };
      const onKey = (text: string) => {
        if (/q/i.test(text) || text.includes(CONTROL_C)) end();
        else paint(text);
      };
      const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
      const onSignal = () => end();
      const onResize = () => paint();

      for (const signal of signals) process.on(signal, onSignal);
      // This listener stays: if the reader has gone, the last write may fail after `watch` ends.
      output.on("error", () => end());
      output.on("resize", onResize);
      if (hasKeys) input.setRawMode(true).setEncoding("utf8").on("data", onKey);
      if (fullScreen) output.write(ENTER);
      const timer = setInterval(() => void redraw(), intervalMs);
      release = () => {
        isOver = true;
        clearInterval(timer);
        if (fullScreen) output.write(LEAVE);
        if (hasKeys) input.setRawMode(false).off("data", onKey).pause();
        output.off("resize", onResize);
        for (const signal of signals) process.off(signal, onSignal);
      };
      void redraw();
    });
  } finally {
    release();
  }
}
