import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  accept,
  bindUnix,
  type Fd,
  listen,
  MessageBuffer,
  MSG_DONTWAIT,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  socket,
} from "@cm4all/linux";
import sodium from "libsodium-wrappers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openLibraries } from "../src/libs/index.ts";
import { TestScript } from "./script.ts";

const AF_UNIX = 1;
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "lua-libs-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

async function printed(body: string): Promise<string> {
  using script = new TestScript(`function cgroup_released(cgroup) ${body}\nend`, {
    open: openLibraries,
  });
  return (await script.handle()).replace(/\/\S*script\.lua/g, "script.lua");
}

function receive(fd: Fd): string | undefined {
  return new MessageBuffer(65536, 0).receive(fd.number, MSG_DONTWAIT)?.data.toString("latin1");
}

describe("socket", () => {
  it("sends strings of any size, and returns the kernel's error for long messages", async () => {
    const path = join(directory, "large");
    // The reader is a process of its own, because sending blocks this one.
    const program = `let bytes = 0;
      require("node:net").createServer((client) => client
        .on("data", (data) => { bytes += data.length; })
        .on("end", () => { console.log(bytes); process.exit(); })
      ).listen(${JSON.stringify(path)}, () => console.log("ready"));`;
    const reader = spawn(process.execPath, ["-e", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    reader.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    await once(reader.stdout, "data");
    const closed = once(reader, "close");
    const bytes = 5 * 1024 * 1024;
    expect(
      await printed(`local s = assert(socket:connect('${path}'))
        print(s:send(('x'):rep(${bytes}))) print(s:send(('x'):rep(300 * 1024), -5)) s:close()`),
    ).toBe(`${bytes}\n5\n`);
    await closed;
    expect(said).toBe(`ready\n${bytes + 5}\n`);
    using datagram = socket(AF_UNIX, SOCK_DGRAM);
    bindUnix(datagram.number, join(directory, "small"));
    expect(
      await printed(`local d = socket:connect('${directory}/small', {type = 'dgram'})
        print(d:send(('x'):rep(${bytes})))`),
    ).toBe("nil\tMessage too long\n");
    const long = `/${"x".repeat(200)}`;
    expect(await printed(`print(pcall(control_resolve, '${long}'))`)).toBe(
      `false\ta socket address must have 1 to 107 bytes, not 201: "${long}"\n`,
    );
  });

  it("sends to stream, datagram and sequenced packet sockets", async () => {
    const chunks: string[] = [];
    const server = createServer((client) =>
      client.setEncoding("latin1").on("data", (text) => chunks.push(String(text))),
    );
    server.listen(join(directory, "stream"));
    await once(server, "listening");
    using datagram = socket(AF_UNIX, SOCK_DGRAM);
    bindUnix(datagram.number, join(directory, "dgram"));
    using packets = socket(AF_UNIX, SOCK_SEQPACKET);
    bindUnix(packets.number, join(directory, "seqpacket"));
    listen(packets.number, 1);
    try {
      expect(
        await printed(`
          local s = assert(socket:connect('${directory}/stream'))
          print(type(s), s.nosuch, s:send('he\\0\\255lo'), s:send('abcdef', 3), s:send('abcdef', 2, 4), s:send('abcdef', -2), s:send('abc', 1, -2), s:send(''), s:send(42))
          for _, f in ipairs{function() s:send('abc', 0) end, function() s:send('abc', 4) end, function() s:send('abc', 3, 2) end, function() s:send('abc', nil) end, function() s:send() end} do
            print((select(2, pcall(f)):gsub('^.*lua:%d+: ', '')))
          end
          s:close() s:close() print(s:send('x'))
          local d = assert(socket:connect('${directory}/dgram', {type = 'dgram'})) print(d:send('datagram'))
          local p = assert(socket:connect('${directory}/seqpacket', {type = 'seqpacket'})) print(p:send('packet'))`),
      ).toBe(
        "userdata\tnil\t6\t4\t3\t2\t2\t0\t2\n" +
          "bad argument #2 to 'send' (Bad string position)\nbad argument #2 to 'send' (Bad string position)\n" +
          "bad argument #2 to 'send' (Bad string position)\nbad argument #2 to 'send' (number expected, got nil)\n" +
          "bad argument #1 to 'send' (string expected, got no value)\n" +
          "nil\tBad file descriptor\n8\n6\n",
      );
      await delay(50);
      expect(chunks.join("")).toBe("he\0\xfflocdefbcdefab42");
      expect(receive(datagram)).toBe("datagram");
      using connection = accept(packets.number);
      expect(connection && receive(connection)).toBe("packet");
    } finally {
      server.close();
    }
  });

  it("resolves names, and returns the errors of the system", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" ? address?.port : 0;
    try {
      const said = await printed(`
        print((socket:connect('127.0.0.1:${port}')) ~= nil, (socket:connect('[::ffff:127.0.0.1]:${port}')) ~= nil)
        print(socket:connect('127.0.0.1:1'))
        print(socket:connect('/nonexistent/x'))
        print(socket:connect('${directory}/none'))
        print(socket:connect('no-such-host.invalid:5'))
        print(socket:connect('a b'))
        print(socket:connect(control_resolve('127.0.0.1:1')))
        for _, f in ipairs{function() socket:connect() end, function() socket:connect('a', {}, 1) end, function() socket:connect(nil) end,
          function() socket:connect('/x', {type = 'raw'}) end, function() socket:connect('/x', {type = 5}) end,
          function() socket:connect('/x', {foo = 1}) end, function() socket:connect('/x', {'y'}) end} do
          print((select(2, pcall(f)):gsub('^.*lua:%d+: ', '')))
        end`);
      expect(said.split("\n")).toEqual([
        "true\ttrue",
        "nil\tConnection refused",
        "nil\tNo such file or directory",
        "nil\tNo such file or directory",
        'nil\tFailed to resolve "no-such-host.invalid":"5": Name or service not known',
        "nil\tGarbage after host name",
        "nil\tConnection refused",
        "Not enough parameters",
        "Too many parameters",
        "bad argument #1 to 'connect' (SocketAddress expected, got nil)",
        "Unsupported socket type",
        "'type' must be a string",
        "Unrecognized option",
        "Key is not a string",
        "",
      ]);
    } finally {
      server.close();
    }
  });

  it("works in the main chunk", () => {
    using script = new TestScript(
      "print(socket:connect('127.0.0.1:1')) print(control_resolve('localhost:7')) print(pcall(control_resolve, 'no-such-host.invalid'))",
      { open: openLibraries },
    );
    expect(script.printed).toMatch(
      /^nil\tConnection refused\n(\[::1\]|127\.0\.0\.1):7\nfalse\tFailed to resolve "no-such-host\.invalid":"5478": Name or service not known\n$/,
    );
  });
});

describe("control_resolve", () => {
  it("returns an address that can be shown as text", async () => {
    const said = await printed(`
      for _, text in ipairs{'192.168.0.2', '[::1]:4321', '/run/x.sock', '@abs', '::1%lo', 'localhost:1'} do print(control_resolve(text)) end
      local a = control_resolve('::1')
      print(type(a), a == control_resolve('::1'), pcall(function() return a.x end))
      for _, f in ipairs{function() control_resolve() end, function() control_resolve('a', 'b') end, function() control_resolve(nil) end,
        function() control_resolve('') end, function() control_resolve('a b') end, function() control_resolve('::1%nosuch') end,
        function() control_resolve('nosuch.invalid') end} do
        print((select(2, pcall(f)):gsub('^.*lua:%d+: ', '')))
      end`);
    expect(said.split("\n")).toEqual([
      "192.168.0.2:5478",
      "[::1]:4321",
      "/run/x.sock",
      "@abs",
      "[::1%lo]:5478",
      expect.stringMatching(/^(\[::1\]|127\.0\.0\.1):1$/),
      "userdata\tfalse\tfalse\tscript.lua:4: attempt to index upvalue 'a' (a userdata value)",
      "Invalid parameter count",
      "Invalid parameter count",
      "bad argument #1 to 'control_resolve' (string expected, got nil)",
      "Failed to extract host name",
      "Garbage after host name",
      "No such interface: nosuch",
      'Failed to resolve "nosuch.invalid":"5478": Name or service not known',
      "",
    ]);
  });
});

describe("control_client", () => {
  it("sends the commands that were added to its builder", async () => {
    using server = socket(AF_UNIX, SOCK_DGRAM);
    bindUnix(server.number, `@lua-control-${process.pid}`);
    const said = await printed(`
      local c = assert(control_client:new('@lua-control-${process.pid}'))
      print(c:send(c:build():flush_http_cache('bar'):fade_children('foo')))
      local b = c:build() print(b:cancel_job('part', 'job1') == b, c:send(b), c:send(b))
      print(c:send(c:build():fade_children('a', 5, nil, {}, true)))
      local all = c:build()
      for name in ('terminate_children flush_filter_cache discard_session disconnect_database reset_limiter reject_client tarpit_client'):gmatch('%S+') do all[name](all, 'x') end
      print(c:send(all))
      local udp = control_client:new('127.0.0.1:9') print(udp:send(udp:build():fade_children(('x'):rep(65530))))
      for _, f in ipairs{function() control_client:new() end, function() control_client:new(nil) end, function() c:send() end, function() c:send(5) end,
        function() b:fade_children() end, function() b:cancel_job('x') end} do
        print((select(2, pcall(f)):gsub('^.*lua:%d+: ', '')))
      end
      print(control_client:new('/nonexistent/socket'))
      print(control_client:new(control_resolve('/nonexistent/socket')))
      print(control_client:new('a b'))
      print(control_client:new('localhost') ~= nil)`);
    expect(said.split("\n")).toEqual([
      "true",
      "true\ttrue\ttrue",
      "true",
      "true",
      "nil\tsend() failed: Message too long",
      "Invalid parameter count",
      "bad argument #1 to 'new' (string expected, got nil)",
      "Invalid parameter count",
      "bad argument #1 to 'send' (control_builder expected, got number)",
      "Not enough parameters",
      "Invalid parameter count",
      "nil\tFailed to connect: No such file or directory",
      "nil\tFailed to connect to /nonexistent/socket: No such file or directory",
      "nil\tGarbage after host name",
      "true",
      "",
    ]);
    const packets: string[] = [];
    for (let packet = receive(server); packet !== undefined; packet = receive(server))
      packets.push(Buffer.from(packet, "latin1").toString("hex"));
    expect(packets.slice(0, 4)).toEqual([
      "630461010003000f626172000003000866" + "6f6f00",
      "630461010009001970617274006a6f6231000000",
      "630461010009001970617274006a6f6231000000",
      `6304610100010008610000000001000835000000${"00000008".repeat(3)}`,
    ]);
    const commands = [16, 12, 14, 20, 22, 23, 24].map(
      (n) => `000100${n.toString(16).padStart(2, "0")}78000000`,
    );
    expect(packets[4]).toBe(`63046101${commands.join("")}`);
  });

  it("reports a port on which nobody listens", async () => {
    const server = createSocket("udp4").bind(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address();
    server.close();
    await once(server, "close");
    expect(
      await printed(`
        local c = control_client:new('127.0.0.1:${port}')
        print(c:send(c:build())) print(c:send(c:build()))`),
    ).toBe("true\nnil\tsend() failed: Connection refused\n");
  });
});

describe("sodium", () => {
  it("has the functions and the errors of the manual", async () => {
    const said = await printed(`
      print(sodium.bin2hex('\\0\\255az'), sodium.hex2bin('00ff617A') == '\\0\\255az', sodium.hex2bin('0'), sodium.hex2bin('0x00'), sodium.hex2bin(' 00'), sodium.bin2hex(12))
      print(#sodium.randombytes(1), #sodium.randombytes(1048576), sodium.randombytes(16) == sodium.randombytes(16))
      print(sodium.bin2hex(sodium.crypto_scalarmult_base(('\\1'):rep(32))))
      local pk, sk = sodium.crypto_box_keypair()
      print(#pk, #sk, sodium.crypto_scalarmult_base(sk) == pk)
      local sealed = sodium.crypto_box_seal('hello\\0', pk)
      print(#sealed, sodium.crypto_box_seal_open(sealed, pk, sk) == 'hello\\0', sodium.crypto_box_seal_open(sealed:sub(1, -2) .. 'x', pk, sk), #sodium.crypto_box_seal('', pk))
      local spk, ssk = sodium.crypto_sign_keypair()
      local signature = sodium.crypto_sign_detached('message', ssk)
      print(#spk, #ssk, #signature, sodium.crypto_sign_verify_detached(signature, 'message', spk), sodium.crypto_sign_verify_detached(signature, 'other', spk), sodium.crypto_sign_verify_detached('short', 'message', spk))
      for _, f in ipairs{function() sodium:bin2hex('x') end, function() sodium.bin2hex({}) end, function() sodium.randombytes(0) end, function() sodium.randombytes(1048577) end,
        function() sodium.crypto_box_keypair(1) end, function() sodium.crypto_box_seal('m', 'short') end, function() sodium.crypto_box_seal_open('short', pk, sk) end,
        function() sodium.crypto_box_seal_open(sealed, 'x', sk) end, function() sodium.crypto_box_seal_open(sealed, pk, 'x') end, function() sodium.crypto_scalarmult_base('x') end,
        function() sodium.crypto_sign_detached('m', 'x') end, function() sodium.crypto_sign_verify_detached(signature, 'm', 'x') end} do
        print((select(2, pcall(f)):gsub('^.*lua:%d+: ', '')))
      end`);
    expect(said.split("\n")).toEqual([
      "00ff617a\ttrue\tnil\tnil\tnil\t3132",
      "1\t1048576\tfalse",
      "a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209",
      "32\t32\ttrue",
      "54\ttrue\tnil\t48",
      "32\t64\t64\ttrue\tfalse",
      "calling 'bin2hex' on bad self (string expected, got table)",
      "bad argument #1 to 'bin2hex' (string expected, got table)",
      "bad argument #1 to 'randombytes' (Size is too small)",
      "bad argument #1 to 'randombytes' (Size is too large)",
      "Too many parameters",
      "bad argument #2 to 'crypto_box_seal' (Malformed public key)",
      "bad argument #1 to 'crypto_box_seal_open' (Malformed ciphertext)",
      "bad argument #2 to 'crypto_box_seal_open' (Malformed public key)",
      "bad argument #3 to 'crypto_box_seal_open' (Malformed secret key)",
      "bad argument #1 to 'crypto_scalarmult_base' (Malformed secret key)",
      "bad argument #2 to 'crypto_sign_detached' (Malformed secret key)",
      "bad argument #3 to 'crypto_sign_verify_detached' (Malformed public key)",
      "",
    ]);
  });

  it("exchanges boxes and signatures with libsodium", async () => {
    await sodium.ready;
    const box = sodium.crypto_box_keypair();
    const sign = sodium.crypto_sign_keypair();
    const sealed = sodium.to_hex(sodium.crypto_box_seal("from libsodium", box.publicKey));
    const signed = sodium.to_hex(sodium.crypto_sign_detached("m", sign.privateKey));
    const said = await printed(`
      local h = sodium.hex2bin
      print(sodium.crypto_box_seal_open(h'${sealed}', h'${sodium.to_hex(box.publicKey)}', h'${sodium.to_hex(box.privateKey)}'))
      print(sodium.crypto_sign_verify_detached(h'${signed}', 'm', h'${sodium.to_hex(sign.publicKey)}'))
      print(sodium.bin2hex(sodium.crypto_box_seal('from us', h'${sodium.to_hex(box.publicKey)}')))
      print(sodium.bin2hex(sodium.crypto_sign_detached('m', h'${sodium.to_hex(sign.privateKey)}')))`);
    const [opened, verified, ours = "", signature] = said.split("\n");
    expect([opened, verified, signature]).toEqual(["from libsodium", "true", signed]);
    const there = sodium.crypto_box_seal_open(sodium.from_hex(ours), box.publicKey, box.privateKey);
    expect(sodium.to_string(there)).toBe("from us");
  });
});
