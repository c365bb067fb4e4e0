/** Fuzzes the parsers of PostgreSQL's connection strings and password files. */
import type { Subject } from "@cm4all/testing/fuzz";
import { parseConninfo } from "../src/pg/conninfo.ts";
import { ConninfoError } from "../src/pg/options.ts";
import { findPassword } from "../src/pg/passfile.ts";

export const subject: Subject = {
  name: "conninfo",
  tokens: [
    ..."postgresql:// postgres:// host= port= user= dbname= sslmode= ' \\ % %00 %ff %c3%a9".split(
      " ",
    ),
    ...["@", ":", "/", "?", "&", "=", " ", "[::1]", ",", "*", "#", "\n"],
  ],
  read: (input) => {
    for (const text of [input.toString(), input.toString("latin1")]) {
      try {
        const parameters = parseConninfo(text);
        const pairs = [...parameters].map(
          ([name, value]) => `${name}='${value.replace(/['\\]/g, "\\$&")}'`,
        );
        const again = parseConninfo(pairs.join(" "));
        if (JSON.stringify([...again]) !== JSON.stringify([...parameters]))
          throw new Error("other parameters");
      } catch (error) {
        if (!(error instanceof ConninfoError)) throw error;
      }
      findPassword(text, { host: "h", port: "5432", database: "d", user: "u" });
    }
  },
};
