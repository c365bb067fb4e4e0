/** All effects that scripts can have outside their process, except on databases; for tests. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  AF_UNIX,
  bindUnix,
  type Fd,
  MessageBuffer,
  MSG_DONTWAIT,
  SOCK_DGRAM,
  socket,
} from "@cm4all/linux";

/** The directory and the socket in which tests see the effects of scripts. */
export class Outside implements Disposable {
  readonly directory = mkdtempSync("/tmp/lua-effects-");
  readonly address = `@${this.directory}`;
  readonly #server: Fd = socket(AF_UNIX, SOCK_DGRAM);

  constructor() {
    bindUnix(this.#server.number, this.address);
    this.reset();
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  reset(): void {
    for (const name of readdirSync(this.directory)) rmSync(this.path(name));
    writeFileSync(this.path("kept"), "before");
    while (this.received());
  }

  received(): boolean {
    return new MessageBuffer(4096, 0).receive(this.#server.number, MSG_DONTWAIT) !== undefined;
  }

  exists(name: string): boolean {
    return existsSync(this.path(name));
  }

  text(name: string): string {
    return readFileSync(this.path(name), "latin1");
  }

  [Symbol.dispose](): void {
    this.#server.close();
    rmSync(this.directory, { recursive: true });
  }
}

export interface EffectCase {
  /** Runs when the script is loaded. DIR is the directory, ADDRESS the socket. */
  readonly main?: string;
  readonly code: string;
  /** @param printed what the script has printed; printing is not an effect */
  isSeen(outside: Outside, printed: string): boolean;
}

export const EFFECTS: Readonly<Record<string, EffectCase>> = {
  "io.open for writing": {
    code: "assert(io.open(DIR .. '/new', 'w'))",
    isSeen: (outside) => outside.exists("new"),
  },
  "io.open for appending": {
    code: "assert(io.open(DIR .. '/new', 'a+b'))",
    isSeen: (outside) => outside.exists("new"),
  },
  "io.open for update, and writing": {
    code: "local f = assert(io.open(DIR .. '/kept', 'r+')) assert(f:write('after '))",
    isSeen: (outside) => outside.text("kept") === "after ",
  },
  "writing to a file that the main chunk opened": {
    main: "file = io.open(DIR .. '/kept', 'a')",
    code: "assert(file:write(' and', ' after'))",
    isSeen: (outside) => outside.text("kept") === "before and after",
  },
  "io.output": {
    code: "io.output(DIR .. '/new')",
    isSeen: (outside) => outside.exists("new"),
  },
  "io.write to another file": {
    main: "io.output(io.open(DIR .. '/kept', 'a'))",
    code: "assert(io.write('!'))",
    isSeen: (outside) => outside.text("kept") === "before!",
  },
  "io.popen": {
    code: "assert(io.popen('echo x > ' .. DIR .. '/new'))",
    isSeen: (outside) => outside.exists("new"),
  },
  "closing a pipe that the main chunk opened": {
    main: "pipe = io.popen('cat > ' .. DIR .. '/new', 'w') pipe:write('x')",
    code: "assert(pipe:close())",
    isSeen: (outside) => outside.exists("new"),
  },
  "closing a pipe that the main chunk opened and flushed": {
    main: "pipe = io.popen('cat > ' .. DIR .. '/new', 'w') pipe:write('x') pipe:flush()",
    code: "assert(pipe:close())",
    isSeen: (outside) => outside.exists("new"),
  },
  "os.execute": {
    code: "os.execute('echo x > ' .. DIR .. '/new; exit 3')",
    isSeen: (outside) => outside.exists("new"),
  },
  "os.remove": {
    code: "assert(os.remove(DIR .. '/kept'))",
    isSeen: (outside) => !outside.exists("kept"),
  },
  "os.rename": {
    code: "assert(os.rename(DIR .. '/kept', DIR .. '/new'))",
    isSeen: (outside) => outside.exists("new"),
  },
  "os.tmpname": {
    code: "local name = assert(os.tmpname()) print(name) os.remove(name)",
    isSeen: (_, printed) => printed.startsWith("/tmp/lua_"),
  },
  "sending to a socket": {
    main: "s = assert(socket:connect(ADDRESS, {type = 'dgram'}))",
    code: "assert(s:send('x'))",
    isSeen: (outside) => outside.received(),
  },
  "sending to a control socket": {
    main: "c = assert(control_client:new(ADDRESS))",
    code: "assert(c:send(c:build():fade_children('x')))",
    isSeen: (outside) => outside.received(),
  },
};

/** Returns a script whose handler is `body`. */
export function effectScript(outside: Outside, main: string, body: string): string {
  const { directory, address } = outside;
  return `DIR, ADDRESS = '${directory}', '${address}' ${main}\nfunction cgroup_released(cgroup) ${body} end`;
}
