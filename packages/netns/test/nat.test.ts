/** Masquerading, published ports and the firewall: one nftables table for each namespace. */
import { existsSync } from "node:fs";
import { type BundleCopy, missing } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { copyProgram } from "./program.ts";
import { type Result, Sandbox, type Started } from "./sandbox.ts";

const TOML = "/etc/cm4all/spawn/netns/web.toml";

/** Answers each TCP connection with the address that it comes from. */
const server = (port: number) =>
  `require("net").createServer((s) => s.end(s.remoteAddress)).listen(${port}, "::", () => console.log("ready"))`;
const client = (host: string, port: number) =>
  `require("net").connect({ host: "${host}", port: ${port}, timeout: 1500 })
  .on("data", (data) => { console.log(String(data)); process.exit(0); })
  .on("timeout", () => process.exit(3)).on("error", () => process.exit(4))`;

/** True if IPv6 forwarding can be enabled for single links (since Linux 6.17), not only for all. */
const hasLinkForwarding = existsSync("/proc/sys/net/ipv6/conf/default/force_forwarding");

describe.skipIf(missing("root", "iproute2", "nft", "strace") !== undefined)(
  "nat and firewall",
  () => {
    let program: BundleCopy;
    let sandbox: Sandbox;
    beforeAll(() => {
      program = copyProgram();
    });
    afterAll(() => program[Symbol.dispose]());
    beforeEach(async () => {
      sandbox = await Sandbox.make();
      for (const line of [
        "netns add world",
        "link add eth0 type veth peer name far netns world",
        "link set eth0 up",
        "-n world link set far up",
        "-n world link set lo up",
        "-n world address add 192.0.2.1/24 dev far",
        "-n world address add 2001:db8::1/64 dev far nodad",
        "address add 192.0.2.2/24 dev eth0",
        "address add 2001:db8::2/64 dev eth0 nodad",
        "route add default via 192.0.2.1",
        "-6 route add default via 2001:db8::1",
      ])
        sandbox.output("ip", ...line.split(" "));
      if (!hasLinkForwarding) sandbox.output("sysctl", "-w", "net.ipv6.conf.all.forwarding=1");
      sandbox.output("mkdir", "-p", "/run/cm4all-spawn-netns");
    });
    afterEach(() => sandbox.dispose());

    const run = (...args: string[]): Result => sandbox.run("node", program.program, ...args);
    const succeed = (...args: string[]): string => {
      const { status, stderr, stdout } = run(...args);
      expect({ status, stderr }).toMatchObject({ status: 0 });
      return stdout;
    };
    const within = (netns: string | undefined) =>
      netns === undefined ? [] : ["ip", "netns", "exec", netns];
    const listen = async (netns: string | undefined, port: number): Promise<Started> => {
      const started = sandbox.start(...within(netns), "node", "-e", server(port));
      await started.printed(/ready/);
      return started;
    };
    /** Returns the client's address that the server sees; undefined if nothing answers. */
    const ask = (netns: string | undefined, host: string, port: number): string | undefined => {
      const result = sandbox.run(...within(netns), "node", "-e", client(host, port));
      return result.status === 0 ? result.stdout.trim().replace(/^::ffff:/, "") : undefined;
    };
    const tables = () => sandbox.output("nft", "list", "tables");
    const forwarding = (link: string) =>
      sandbox.output("sysctl", "-n", `net.ipv4.conf.${link}.forwarding`).trim();

    const ends = `
[outside]
addresses = ["10.0.5.1/24", "fd00:5::1/64"]
masquerade = true
publish = ["8080:80/tcp"]
[inside]
addresses = ["10.0.5.2/24", "fd00:5::2/64"]
gateway = ["10.0.5.1", "fd00:5::1"]
`;

    it("masquerades, publishes, and undoes both", async () => {
      sandbox.writeDescription("web", ends);
      sandbox.output("nft", "add", "table", "inet", "foreign");
      const before = sandbox.state();
      const ruleset = () => sandbox.output("nft", "list", "ruleset");
      const rules = ruleset();
      expect(succeed("check", "web")).toContain("outside, let eth0 forward ipv4 and ipv6\n");
      expect([sandbox.state(), ruleset()]).toEqual([before, rules]);
      const { stderr } = run("up", "web");
      expect(stderr).toContain("net.ipv4.conf.eth0.forwarding = 1, until no namespace needs it\n");
      expect(sandbox.output("sysctl", "-n", "net.ipv4.ip_forward")).toBe("0\n");
      const ofAll = sandbox.output("sysctl", "-n", "net.ipv6.conf.all.forwarding");
      expect(ofAll).toBe(hasLinkForwarding ? "0\n" : "1\n");
      await listen("world", 7000);
      expect(ask("web", "192.0.2.1", 7000)).toBe("192.0.2.2");
      expect(ask("web", "2001:db8::1", 7000)).toBe("2001:db8::2");
      await listen("web", 80);
      expect(ask("world", "192.0.2.2", 8080)).toBe("192.0.2.1");
      expect(ask("world", "2001:db8::2", 8080)).toBe("2001:db8::1");
      // The port also works from the host itself, and from the namespace to which it leads.
      expect(ask(undefined, "192.0.2.2", 8080)).toBe("192.0.2.2");
      expect(ask("web", "192.0.2.2", 8080)).toBe("10.0.5.1");
      expect(JSON.parse(succeed("list", "--json"))[0]).toMatchObject({
        problems: [],
        publish: ["8080:80/tcp"],
      });
      sandbox.output("sh", "-c", "kill $(ip netns pids web) $(ip netns pids world)");
      succeed("down", "web");
      expect(ruleset()).toBe(rules);
      expect(forwarding("eth0")).toBe("0");
    });

    it("can publish and masquerade IPv4 alone if single links cannot forward IPv6", async () => {
      // The tmpfs hides force_forwarding, which kernels before Linux 6.17 do not have.
      sandbox.output("sysctl", "-w", "net.ipv6.conf.all.forwarding=0");
      sandbox.output("mount", "-t", "tmpfs", "none", "/proc/sys/net/ipv6/conf/default");
      const only = ends.replace("true", '"ipv4"');
      sandbox.writeDescription("web", only);
      expect(run("up", "web")).toMatchObject({
        status: 78,
        stderr: expect.stringContaining('publish = ["0.0.0.0:8080:80/tcp"] do not need it'),
      });
      sandbox.writeDescription("web", only.replace("8080:80", "0.0.0.0:8080:80"));
      succeed("up", "web");
      await listen("web", 80);
      expect(ask("world", "192.0.2.2", 8080)).toBe("192.0.2.1");
      expect(ask("world", "2001:db8::2", 8080)).toBe(undefined);
      sandbox.output("sh", "-c", "kill $(ip netns pids web)");
      succeed("down", "web");
    });

    it("a port of the host may lead to one port inside for IPv4, and another for IPv6", async () => {
      const ports = '"0.0.0.0:8080:80/tcp", "[::]:8080:81/tcp"';
      sandbox.writeDescription("web", ends.replace('"8080:80/tcp"', ports));
      succeed("up", "web");
      await listen("web", 80);
      expect(ask("world", "192.0.2.2", 8080)).toBe("192.0.2.1");
      expect(ask("world", "2001:db8::2", 8080)).toBe(undefined);
      await listen("web", 81);
      expect(ask("world", "2001:db8::2", 8080)).toBe("2001:db8::1");
      expect(JSON.parse(succeed("list", "--json"))[0].publish).toEqual([
        "0.0.0.0:8080:80/tcp",
        "[::]:8080:81/tcp",
      ]);
      sandbox.output("sh", "-c", "kill $(ip netns pids web)");
      succeed("down", "web");
    });

    it("a rename of the host's end does not matter", async () => {
      sandbox.writeDescription("web", ends);
      succeed("up", "web");
      sandbox.output("ip", "link", "set", "web", "name", "odd0");
      await listen("world", 7000);
      expect(ask("web", "192.0.2.1", 7000)).toBe("192.0.2.2");
      succeed("down", "web");
      expect(sandbox.output("ip", "-br", "link")).not.toContain("odd0");
      expect(tables()).toBe("");
    });

    it("restores the host's settings when the last namespace is removed", () => {
      for (const name of ["a", "b"])
        sandbox.writeDescription(name, '[outside]\nmasquerade = "ipv4"\n');
      succeed("up", "a");
      succeed("up", "b");
      succeed("down", "a");
      expect(forwarding("eth0")).toBe("1");
      succeed("down", "b");
      expect(forwarding("eth0")).toBe("0");
      // A setting that the administrator made stays.
      sandbox.output("sysctl", "-w", "net.ipv4.conf.eth0.forwarding=1");
      succeed("up", "a");
      succeed("down", "a");
      expect(forwarding("eth0")).toBe("1");
    });

    it("leaves forwarding enabled if another program has enabled it for all links meanwhile", () => {
      sandbox.writeDescription("a", '[outside]\nmasquerade = "ipv4"\n');
      succeed("up", "a");
      sandbox.output("sysctl", "-w", "net.ipv4.ip_forward=1");
      succeed("down", "a");
      expect(forwarding("eth0")).toBe("1");
      // If the administrator disables it for one link, `up` enables it
      // there, and `down` disables it again.
      sandbox.output("sysctl", "-w", "net.ipv4.conf.eth0.forwarding=0");
      succeed("up", "a");
      expect(forwarding("eth0")).toBe("1");
      succeed("down", "a");
      expect(forwarding("eth0")).toBe("0");
    });

    it("restores the settings of an uplink that was renamed, and not those of another link", () => {
      for (const name of ["a", "b"])
        sandbox.writeDescription(
          name,
          `[outside]\nmasquerade = "ipv4"\nuplinks = ["${name === "a" ? "eth0" : "wan9"}"]\n`,
        );
      succeed("up", "a");
      sandbox.output("ip", "link", "set", "eth0", "name", "wan9");
      sandbox.output("ip", "link", "add", "eth0", "type", "bridge");
      sandbox.output("sysctl", "-w", "net.ipv4.conf.eth0.forwarding=1");
      succeed("up", "b");
      succeed("down", "a");
      expect(forwarding("wan9")).toBe("1");
      succeed("down", "b");
      expect([forwarding("wan9"), forwarding("eth0")]).toEqual(["0", "1"]);
    });

    it("restores the host's settings even if the record of a removed namespace still exists", () => {
      for (const name of ["a", "b"]) {
        sandbox.writeDescription(name, '[outside]\nmasquerade = "ipv4"\n');
        succeed("up", name);
      }
      const record = "/run/cm4all-spawn-netns/a.json";
      const inject = ["-P", record, "-e", "trace=unlink", "-e", "inject=unlink:signal=KILL:when=1"];
      const strace = ["strace", "-f", "-qq", "-o", "/dev/null", ...inject];
      sandbox.run(...strace, "node", program.program, "down", "a");
      expect(sandbox.output("ls", record)).toContain("a.json");
      succeed("down", "b");
      expect(forwarding("eth0")).toBe("0");
      succeed("down", "a");
    });

    it("closes both directions, with exceptions", async () => {
      const firewall = `[firewall]
in = "closed"
out = "closed"
accept_in = ["81/tcp from 192.0.2.0/24"]
accept_out = ["7000/tcp to 192.0.2.1", "icmp"]
`;
      sandbox.writeDescription("web", `${ends}${firewall}`);
      succeed("up", "web");
      for (const port of [80, 81, 82]) await listen("web", port);
      for (const port of [7000, 7001]) await listen("world", port);
      await listen(undefined, 7000);
      sandbox.output("ip", "-n", "world", "route", "add", "10.0.5.0/24", "via", "192.0.2.2");
      const answers = {
        published: ask("world", "192.0.2.2", 8080),
        accepted: ask("world", "10.0.5.2", 81),
        closed: ask("world", "10.0.5.2", 82),
        fromHost: ask(undefined, "10.0.5.2", 82),
        out: ask("web", "192.0.2.1", 7000),
        outClosed: ask("web", "192.0.2.1", 7001),
        toHost: ask("web", "10.0.5.1", 7000),
        ipv6Closed: ask("web", "2001:db8::1", 7000),
      };
      expect(answers).toEqual({
        published: "192.0.2.1",
        accepted: "192.0.2.1",
        closed: undefined,
        fromHost: undefined,
        out: "192.0.2.2",
        outClosed: undefined,
        toHost: undefined,
        ipv6Closed: undefined,
      });
      sandbox.output("ip", "netns", "exec", "web", "ping", "-c1", "-W2", "2001:db8::1");
      sandbox.output("sh", "-c", "kill $(ip netns pids web) $(ip netns pids world)");
      succeed("down", "web");
      expect(tables()).toBe("");
    });

    it("can filter only inside the namespace if the host's hooks do not see a link's packets", async () => {
      const link =
        '[link]\ntype = "macvlan"\nparent = "eth0"\n[inside]\naddresses = ["192.0.2.9/24"]\n';
      sandbox.writeDescription("web", `${link}[firewall]\nin = "closed"\n`);
      const { status, stderr } = run("check", "web");
      expect(status).toBe(78);
      expect(stderr).toContain(
        `${TOML}:6: the host's hooks do not see what net0 (macvlan) carries`,
      );
      const inside = '[firewall]\nplace = "inside"\nin = "closed"\naccept_in = ["80/tcp"]\n';
      sandbox.writeDescription("web", `${link}${inside}`);
      succeed("up", "web");
      expect(tables()).toBe("");
      await listen("web", 80);
      await listen("web", 81);
      await listen("world", 7000);
      expect(ask("world", "192.0.2.9", 80)).toBe("192.0.2.1");
      expect(ask("world", "192.0.2.9", 81)).toBeUndefined();
      expect(ask("web", "192.0.2.1", 7000)).toBe("192.0.2.9");
    });

    it("refuses a port of the host that leads elsewhere already", () => {
      const text = (name: string) =>
        `[outside]\nname = "${name}"\npublish = ["8080:80/tcp"]\n[inside]\naddresses = ["10.0.5.2/24"]\n`;
      sandbox.writeDescription("a", text("a"));
      sandbox.writeDescription("web", text("web"));
      succeed("up", "a");
      for (const command of ["check", "up"])
        expect(run(command, "web")).toMatchObject({
          status: 73,
          stderr: `cm4all-spawn-netns: ${TOML}:3: port 8080/tcp of the host already leads to a\n`,
        });
      succeed("down", "a");
      succeed("check", "web");
    });

    it.each([
      [
        "Docker",
        "table ip filter { chain DOCKER-USER { } ; chain FORWARD { type filter hook forward priority 0; policy drop; jump DOCKER-USER; } ; }",
        "iptables -I DOCKER-USER -i web -j ACCEPT ; iptables -I DOCKER-USER -o web -m conntrack",
        'insert rule ip filter DOCKER-USER iifname "web" accept',
      ],
      [
        "ufw",
        "table ip filter { chain ufw-user-forward { } ; chain FORWARD { type filter hook forward priority 0; policy drop; jump ufw-user-forward; } ; }",
        "ufw route allow in on web ; ufw route allow out on web",
        'insert rule ip filter ufw-user-forward iifname "web" accept',
      ],
      [
        "firewalld",
        "table inet firewalld { chain filter_FORWARD { type filter hook forward priority 10; ct state established accept; reject with icmpx admin-prohibited; } ; }",
        "firewall-cmd --permanent --zone=trusted --add-interface=web",
        'insert rule inet firewalld filter_FORWARD iifname "web" accept',
      ],
      [
        "an administrator",
        "table inet mine { chain passing { type filter hook forward priority 0; policy drop; } ; }",
        'nft insert rule inet mine passing iifname "web" accept',
        'insert rule inet mine passing iifname { "lan", "we*" } accept',
      ],
    ])("names the rule that is needed where %s drops packets", (_, table, remedy, rule) => {
      sandbox.writeDescription("web", '[outside]\nmasquerade = "ipv4"\n');
      sandbox.output("nft", table);
      const rules = sandbox.output("nft", "list", "ruleset");
      const checked = run("check", "web");
      expect(checked.status).toBe(0);
      expect(checked.stdout).toContain(`warning: ${TOML}:2: the nftables chain`);
      expect(checked.stdout).toContain(remedy);
      const { status, stderr } = run("up", "web");
      expect(status).toBe(0);
      expect(stderr).toContain(remedy);
      succeed("down", "web");
      expect(sandbox.output("nft", "list", "ruleset")).toBe(rules);
      sandbox.output("nft", rule);
      expect(run("check", "web").stdout).not.toContain("warning");
    });

    it("names rules that let answers and published ports in, and nothing else", async () => {
      sandbox.writeDescription("web", ends);
      sandbox.output(
        "nft",
        "table inet mine { chain passing { type filter hook forward priority 0; policy drop; } ; }",
      );
      const { stderr } = run("up", "web");
      await listen("world", 7000);
      for (const port of [80, 81]) await listen("web", port);
      sandbox.output("ip", "-n", "world", "route", "add", "10.0.5.0/24", "via", "192.0.2.2");
      const answers = () => [
        ask("web", "192.0.2.1", 7000),
        ask("world", "192.0.2.2", 8080),
        ask("world", "10.0.5.2", 81),
      ];
      expect(answers()).toEqual([undefined, undefined, undefined]);
      const [, commands = ""] = /to let them through: (.*)\n/.exec(stderr) ?? [];
      sandbox.output("sh", "-ec", commands);
      expect(answers()).toEqual(["192.0.2.2", "192.0.2.1", undefined]);
      expect(run("check", "web").stdout).not.toContain("warning");
      sandbox.output("sh", "-c", "kill $(ip netns pids web) $(ip netns pids world)");
      succeed("down", "web");
    });

    it("warns about a chain only if br_netfilter makes it drop a bridge's packets", () => {
      sandbox.output("ip", "link", "add", "br0", "type", "bridge");
      sandbox.writeDescription("web", '[outside]\nbridge = "br0"\n');
      const table =
        "table ip f { chain c { type filter hook forward priority 0; policy drop; } ; }";
      sandbox.output("nft", table);
      const call = "/proc/sys/net/bridge/bridge-nf-call-iptables";
      for (const [value, expected] of [
        ["1", `warning: ${TOML}:2: the nftables chain "ip f c"`],
        ["0", ""],
      ] as const) {
        // A kernel without br_netfilter has no such file.
        const set = sandbox.run("sh", "-c", `[ ! -e ${call} ] || echo ${value} >${call}`);
        expect(set.status).toBe(0);
        const { stdout } = run("check", "web");
        if (sandbox.run("test", "-e", call).status === 0 && expected !== "")
          expect(stdout).toContain(`${expected} of another program`);
        else expect(stdout).not.toContain("warning");
        expect(stdout).not.toContain('iifname "web"');
      }
    });

    it("leaves neither a table nor a changed setting when something fails later", () => {
      sandbox.writeDescription("web", ends);
      sandbox.writeScript("web", "#!/bin/sh\nexit 1\n");
      const before = sandbox.state();
      expect(run("up", "web").status).toBe(1);
      expect([sandbox.state(), tables(), forwarding("eth0")]).toEqual([before, "", "0"]);
    });

    it("Control-C reaches neither the nft that loads the table nor the one that deletes it", () => {
      sandbox.writeDescription("web", ends);
      // As a terminal does: the signal goes to all processes of the group.
      const interrupt = '[ "$1" != -f ] || kill -s INT -- -$(($(ps -o pgid= -p $PPID)))';
      sandbox.write("/run/bin/nft", `#!/bin/sh\n${interrupt}\nexec /usr/sbin/nft "$@"\n`, "755");
      const before = sandbox.state();
      const up = "PATH=/run/bin:$PATH exec setsid --wait node";
      const { status, stderr } = sandbox.run("sh", "-c", `${up} ${program.program} up web`);
      expect(stderr).toContain("ended by SIGINT; everything has been undone\n");
      expect([status, sandbox.state(), tables()]).toEqual([130, before, ""]);
    });

    it("list reports what somebody has removed", () => {
      sandbox.writeDescription("web", '[outside]\nmasquerade = "ipv4"\n');
      succeed("up", "web");
      sandbox.output("nft", "delete", "table", "inet", "cm4all-netns-web");
      sandbox.output("ip", "link", "delete", "web");
      const [web] = JSON.parse(succeed("list", "--json"));
      expect(web.problems).toEqual([
        "the link net0 is gone",
        "the nftables table cm4all-netns-web is gone",
      ]);
      expect(succeed("list")).toContain("web: the link net0 is gone\n");
      sandbox.output("ip", "netns", "delete", "web");
      expect(JSON.parse(succeed("list", "--json"))[0].problems).toEqual([
        "the namespace has lost its name, or is gone",
      ]);
      succeed("down", "web");
      expect(JSON.parse(succeed("list", "--json"))).toHaveLength(1);
    });

    it("accepts names with characters that have a special meaning for nft", () => {
      const name = 'a*{"$_é';
      sandbox.writeDescription(name, '[outside]\nmasquerade = "ipv4"\n');
      succeed("up", name);
      expect(tables()).toBe("table inet cm4all-netns-a_2a_7b_22_24_5f_c3_a9\n");
      succeed("down", name);
      expect(tables()).toBe("");
    });
  },
);
