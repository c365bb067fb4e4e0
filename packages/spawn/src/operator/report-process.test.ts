import { describe, expect, it } from "vitest";
import { DATABASE_FAILED } from "../report/options.ts";
import { environmentOf, failureOf } from "./report-process.ts";

it("passes on the variables for PostgreSQL, and no other secrets of root", () => {
  const user = { name: "nobody", uid: 65534, gid: 65534, home: "/nonexistent" };
  const handed = { PATH: "/bin", LANG: "C", LC_TIME: "C", TZ: "UTC", PGHOST: "h", PGPASSWORD: "p" };
  const kept = { AWS_SECRET: "s", NODE_OPTIONS: "--inspect", LD_PRELOAD: "x", MYPGHOST: "y" };
  const roots = { ...handed, ...kept, HOME: "/root", USER: "root", LOGNAME: "root", MAIL: "m" };
  expect(environmentOf(user, roots)).toEqual({
    ...handed,
    HOME: "/nonexistent",
    USER: "nobody",
    LOGNAME: "nobody",
  });
});

describe("failureOf", () => {
  it("gives advice on the role if the database cannot be read, and quotes only the last line", () => {
    const { message, exitStatus } = failureOf("bills", DATABASE_FAILED, "secret\nno such role\n");
    expect(message).toMatch(/^cannot read the bills in bills: no such role\. .*fleet_reader/);
    expect(exitStatus).toBe(69);
  });

  it("does not blame the database for other failures", () => {
    expect(failureOf("bills", 1, "a line\nout of range\n")).toMatchObject({
      message: "cannot make the report: out of range",
      exitStatus: 70,
    });
    expect(failureOf("bills", "SIGKILL", "").message).toBe(
      "cannot make the report: its process ended with SIGKILL",
    );
  });

  it("does not show a URI", () => {
    const uri = "postgres://user:secret@host/db";
    expect(failureOf(uri, DATABASE_FAILED, "no").message).not.toContain("secret");
  });
});
