/** Fuzzes the parser of the configuration. */
import { ConfigError } from "@cm4all/command/toml";
import type { Subject } from "@cm4all/testing/fuzz";
import { parseConfig } from "../src/config.ts";

export const subject: Subject = {
  name: "toml",
  tokens: [
    ..."[namespaces] [reaper] [accounting] [metrics] [control] [[x]] listen allow_uids = true".split(
      " ",
    ),
    ..."scopes extra_scopes user root script socket 1 -1 1.5 1e9 nan inf 0x1f 1979-05-27".split(
      " ",
    ),
    ...["[", "]", "{", "}", "\n", ",", ".", '"', "'", '"""', "'''", "\\u0000", "\\", "#", " "],
  ],
  read: (input) => {
    try {
      parseConfig(input.toString(), "spawn.toml", () => undefined);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      if (!/^spawn\.toml:\d+: /.test(error.message)) throw new Error("a mistake without a line");
    }
  },
};
