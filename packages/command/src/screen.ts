/** Draws frames again and again, until `q` is typed or a signal comes. */
import type { ReadStream, WriteStream } from "node:tty";

/**
 * Switches to the alternate screen, so that the terminal's contents come back later, and hides
 * the cursor.
 */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_REST = "\x1b[J";

const CONTROL_C = "\x03";

/**
 * Returns the bytes of a frame that fits the terminal, with each line cut off at the right
 * edge.
 */
export function encodeFrame(lines: readonly string[], columns: number, rows: number): string {
  const visible = lines.slice(0, rows).map((line) => [...line].slice(0, columns).join(""));
  return HOME + visible.join(`${CLEAR_LINE}\r\n`) + CLEAR_LINE + CLEAR_REST;
}

export interface WatchOptions {
  /**
   * Makes the lines of the next frame. It is not called again before it has returned or
   * resolved.
   */
  readonly draw: () => readonly string[] | Promise<readonly string[]>;
  readonly intervalMs: number;
  /** True to draw on the whole terminal, instead of one frame below the other. */
  readonly fullScreen: boolean;
  readonly input: ReadStream;
  readonly output: WriteStream;
}

/**
 * Draws until `q` or Control-C is typed, until SIGINT, SIGTERM or SIGHUP, or until the output
 * cannot be written, which its owner reports. The terminal is restored in each case.
 * @throws the errors of `draw`
 */
export async function watch(options: WatchOptions): Promise<void> {
  const { draw, intervalMs, fullScreen, input, output } = options;
  const hasKeys = fullScreen && input.isTTY;
  let release = () => {};
  try {
    await new Promise<void>((end, fail) => {
      let lines: readonly string[] = [];
      const paint = () => {
        // The size is 0 if the terminal does not know it.
        const { columns = 0, rows = 0 } = output;
        if (fullScreen) output.write(encodeFrame(lines, columns || 80, rows || 24));
        else output.write(`${lines.join("\n")}\n`);
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
      };
      const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
      const onSignal = () => end();

      for (const signal of signals) process.on(signal, onSignal);
      // Not removed: the last frame may fail after the end, when its reader has gone.
      output.on("error", () => end());
      output.on("resize", paint);
      if (hasKeys) input.setRawMode(true).setEncoding("utf8").on("data", onKey);
      if (fullScreen) output.write(ENTER);
      const timer = setInterval(() => void redraw(), intervalMs);
      release = () => {
        isOver = true;
        clearInterval(timer);
        if (fullScreen) output.write(LEAVE);
        if (hasKeys) input.setRawMode(false).off("data", onKey).pause();
        output.off("resize", paint);
        for (const signal of signals) process.off(signal, onSignal);
      };
      void redraw();
    });
  } finally {
    release();
  }
}
