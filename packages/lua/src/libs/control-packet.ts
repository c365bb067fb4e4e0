/**
 * Datagrams of the control protocol: a magic number, then commands. All integers are
 * big-endian. Pure.
 *
 *     63 04 61 01                magic, once
 *     u16 length, u16 command    length without the padding
 *     payload                    padded with NULs to a multiple of 4
 */

const MAGIC = Buffer.from([0x63, 0x04, 0x61, 0x01]);

/** Commands whose payload is the argument as it stands. */
export const controlCommands = {
  fade_children: 8,
  flush_filter_cache: 12,
  discard_session: 14,
  flush_http_cache: 15,
  terminate_children: 16,
  disconnect_database: 20,
  reset_limiter: 22,
  reject_client: 23,
  tarpit_client: 24,
} as const;

export const CANCEL_JOB = 25;

export class ControlPacket {
  readonly #parts: Buffer[] = [MAGIC];

  /**
   * Appends a command.
   * @param payload a binary string; only the lower 16 bits of its length are written, as in the
   * original daemon
   */
  append(command: number, payload: string): void {
    const header = Buffer.alloc(4);
    header.writeUInt16BE(payload.length & 0xffff, 0);
    header.writeUInt16BE(command, 2);
    this.#parts.push(header, Buffer.from(payload, "latin1"), Buffer.alloc(-payload.length & 3));
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}
