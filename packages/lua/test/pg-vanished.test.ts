/**
 * A server whose address disappears from one moment to the next, so that nothing answers, not
 * even with an error.
 */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createConnection, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { CLONE_NEWNET, createNamespace, type Fd, setns } from "@cm4all/linux";
import { missing, Postgres } from "@cm4all/testing";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openPg } from "../src/pg/library.ts";
import { TestScript } from "./script.ts";

const [OURS, THEIRS, STANDBY] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];

describe.skipIf(missing("root", "iproute2", "postgres") !== undefined)(
  "a server that vanishes",
  () => {
    let server: Postgres;
    let observer: Client;
    /** The network namespace of this process, and that of the server. */
    let own: Fd;
    let other: Fd;
    const forwarded = new Set<Socket>();
    const forwarder = createServer((client) => {
      const behind = createConnection(join(server.host, `.s.PGSQL.${server.port}`));
      for (const socket of [client, behind]) {
        forwarded.add(socket);
        const end = () => {
          client.destroy();
          behind.destroy();
        };
        socket.on("error", end).on("close", end);
      }
      client.pipe(behind).pipe(client);
    });

    /** Runs ip(8) in the server's network namespace. */
    const ip = (command: string) =>
      execFileSync("nsenter", [`--net=${pathOf(other)}`, "ip", ...command.split(" ")]);
    const pathOf = ({ number }: Fd) => `/proc/${process.pid}/fd/${number}`;

    beforeAll(async () => {
      server = await Postgres.start();
      const { host, port, user } = server;
      observer = new Client({ host, port, user, database: "postgres" });
      await observer.connect();
      await observer.query("CREATE TABLE told (n int)");
      other = createNamespace("net");
      own = createNamespace("net");
      // The forwarder listens in the other namespace, and this process continues in its own.
      setns(other.number, CLONE_NEWNET);
      forwarder.listen(5432, "0.0.0.0");
      await once(forwarder, "listening");
      setns(own.number, CLONE_NEWNET);
      execFileSync("ip", [
        "link",
        "add",
        "v0",
        "type",
        "veth",
        "peer",
        "name",
        "v1",
        "netns",
        pathOf(other),
      ]);
      execFileSync("ip", ["addr", "add", `${OURS}/24`, "dev", "v0"]);
      execFileSync("ip", ["link", "set", "v0", "up"]);
      ip("link set v1 up");
      const [{ address }] = JSON.parse(String(ip("-json link show v1")));
      // Permanent ARP entries: as behind a router, nothing reports that an address is gone.
      for (const each of [THEIRS, STANDBY])
        execFileSync("ip", ["neigh", "add", `${each}`, "lladdr", address, "dev", "v0"]);
      ip(`addr add ${STANDBY}/24 dev v1`);
    });
    afterAll(async () => {
      await observer?.end();
      for (const socket of forwarded) socket.destroy();
      forwarder.close();
      other?.close();
      own?.close();
      await server?.stop();
    });

    const appear = () => ip(`addr add ${THEIRS}/24 dev v1`);
    const vanish = () => {
      ip(`addr del ${THEIRS}/24 dev v1`);
      // As if the machine were off: its sockets are gone, and not even an error arrives from it.
      for (const socket of forwarded) socket.destroy();
    };

    const script = (options: string, handlerTimeoutMs: number) =>
      new TestScript(
        `db = pg:new([[dbname=postgres user=postgres sslmode=disable ${options}]])
         function cgroup_released(c) assert(db:execute('INSERT INTO told VALUES ($1)', {c.report})) end`,
        { open: openPg, handlerTimeoutMs },
      );
    const told = async () =>
      (await observer.query("SELECT n FROM told ORDER BY n")).rows.map(({ n }) => n);

    it("makes handlers run out of time, and is used again when it is back", async () => {
      appear();
      using running = script(`host=${THEIRS}`, 3000);
      expect(await running.outcome({ report: 1 })).toBeUndefined();
      vanish();
      expect(await running.outcome({ report: 2 })).toMatchObject({ effect: "unanswered" });
      for (const report of [3, 4])
        expect(await running.outcome({ report })).toMatchObject({
          effect: "none",
          cause: "connection",
        });
      appear();
      await expect.poll(() => running.outcome({ report: 5 }), { timeout: 50_000 }).toBeUndefined();
      vanish();
      expect(await told()).toEqual([1, 5]);
    });

    it("is given up for the next host in the list", async () => {
      appear();
      using running = script(`host=${THEIRS},${STANDBY} connect_timeout=2`, 10_000);
      expect(await running.outcome({ report: 11 })).toBeUndefined();
      vanish();
      expect(await running.outcome({ report: 12 })).toMatchObject({ effect: "unanswered" });
      expect(await running.outcome({ report: 13 })).toBeUndefined();
      expect((await told()).filter((n) => n > 10)).toEqual([11, 13]);
    });

    it("is given up by the kernel after tcp_user_timeout", async () => {
      appear();
      using running = script(`host=${THEIRS} tcp_user_timeout=2000`, 600_000);
      expect(await running.outcome({ report: 21 })).toBeUndefined();
      vanish();
      expect(await running.outcome({ report: 22 })).toMatchObject({
        effect: "unanswered",
        cause: "connection",
        message: expect.stringMatching(/server closed the connection|timed out/i),
      });
    });
  },
);
