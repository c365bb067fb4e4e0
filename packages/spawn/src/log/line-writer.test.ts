import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Fd, O_NONBLOCK, pipe, SOCK_SEQPACKET, SOCK_STREAM, socketpair } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import { LineWriter } from "./line-writer.ts";

/** A timer that runs its calls only on request. */
class Later {
  readonly #planned: (() => void)[] = [];
  readonly schedule = (_delayMs: number, run: () => void) => this.#planned.push(run);
  get count(): number {
    return this.#planned.length;
  }
  run(): void {
    for (const run of this.#planned.splice(0)) run();
  }
}

const lost = (count: number) => `${count} lost\n`;
const LINE = `${"x".repeat(99)}\n`;

/** Returns everything that can be read now. */
function drain(fd: number): string {
  const buffer = Buffer.alloc(64 * 1024);
  let text = "";
  for (;;) {
    try {
      const length = readSync(fd, buffer);
      if (length === 0) return text;
      text += buffer.toString("latin1", 0, length);
    } catch {
      return text;
    }
  }
}

function streamPair(): [Fd, Fd] {
  return socketpair(SOCK_STREAM, O_NONBLOCK);
}

/** Opens a pipe whose write end blocks, like that of a pipe that a shell opens. */
function waitingPipe(): [Fd, Fd] {
  const [reader, writer] = pipe();
  const nonBlocking = openSync(`/proc/self/fd/${reader.number}`, O_NONBLOCK);
  return [{ number: nonBlocking, close: () => closeSync(nonBlocking) } as Fd, writer];
}

describe("lines", () => {
  it.each([
    ["a pipe", waitingPipe],
    ["a socket", streamPair],
  ])("to %s that nobody reads are kept up to a limit; others are lost and counted", (_, open) => {
    const [reader, writer] = open();
    const later = new Later();
    const lines = new LineWriter(writer.number, later.schedule, lost);
    const count = 20_000;
    for (let i = 0; i < count; i++) lines.write(`${i} ${LINE}`);
    expect(later.count).toBe(1);
    let text = "";
    for (let i = 0; later.count > 0 || i === 0; i++) {
      text += drain(reader.number);
      later.run();
    }
    text += drain(reader.number);
    const all = text.trimEnd().split("\n");
    const said = all.filter((line) => line.endsWith(" lost"));
    expect(said).toHaveLength(1);
    // The kept lines are complete and in order; the count of lost lines is right.
    const kept = all.filter((line) => !line.endsWith(" lost"));
    expect(kept.map((line) => Number(line.split(" ")[0]))).toEqual(kept.map((_, i) => i));
    expect(kept.length + Number.parseInt(said[0] ?? "", 10)).toBe(count);
    expect(kept.every((line) => line.endsWith(LINE.trimEnd()))).toBe(true);
    // More lines than the kernel's buffer holds.
    expect(kept.length).toBeGreaterThan(2500);
    lines.write("again\n");
    expect(drain(reader.number)).toBe("again\n");
    for (const fd of [reader, writer]) fd.close();
  });

  it("go to a file unchanged", () => {
    const directory = mkdtempSync(join(tmpdir(), "cm4all-lines-"));
    const path = join(directory, "log");
    const fd = openSync(path, "w");
    const lines = new LineWriter(fd, new Later().schedule, lost);
    for (const line of ["one\n", "two\n"]) lines.write(line);
    expect(readFileSync(path, "utf8")).toBe("one\ntwo\n");
    closeSync(fd);
    rmSync(directory, { recursive: true });
  });

  it("to a full disk are lost, and no line is kept", () => {
    const fd = openSync("/dev/full", "w");
    const later = new Later();
    const lines = new LineWriter(fd, later.schedule, lost);
    for (let i = 0; i < 10_000; i++) lines.write(LINE);
    expect(later.count).toBe(0);
    closeSync(fd);
  });

  it("are still counted as lost if the line with their number is lost itself", () => {
    const [reader, writer] = socketpair(SOCK_SEQPACKET, O_NONBLOCK);
    const tooLong = "x".repeat(255 * 1024);
    let lostText = (_count: number) => tooLong;
    const lines = new LineWriter(writer.number, new Later().schedule, (count) => lostText(count));
    for (const line of [tooLong, tooLong, "a\n"]) lines.write(line);
    lostText = lost;
    lines.write("b\n");
    expect(drain(reader.number)).toBe("a\nb\n2 lost\n");
    for (const fd of [reader, writer]) fd.close();
  });

  it("leave the flags of the open file description, which other processes share, as they are", () => {
    const [reader, writer] = waitingPipe();
    new LineWriter(writer.number, new Later().schedule, lost).write("a\n");
    const flags = readFileSync(`/proc/self/fdinfo/${writer.number}`, "utf8");
    expect(Number.parseInt(/^flags:\t(\d+)/m.exec(flags)?.[1] ?? "", 8) & O_NONBLOCK).toBe(0);
    for (const fd of [reader, writer]) fd.close();
  });
});
