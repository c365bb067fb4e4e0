/**
 * The namespace protocol: this file is its specification.
 *
 * Transport: AF_UNIX, SOCK_SEQPACKET, by default the abstract name `cm4all-spawn`. A client sends
 * any number of datagrams over one connection; each is one request and gets at most one datagram
 * in answer. Descriptors are sent as SCM_RIGHTS.
 *
 * A datagram, in both directions:
 *
 *     offset  type  meaning
 *     0       u32   MAGIC
 *     4       u32   CRC-32 (as in zlib) of all bytes from offset 8 to the end
 *     8             packets, one after the other
 *
 * A packet, which always starts at a multiple of 4:
 *
 *     offset  type  meaning
 *     0       u16   size of the payload
 *     2       u16   command
 *     4             the payload, then zero to three bytes of padding to a multiple of
 *                   4; the size does not include the padding, but the CRC does
 *
 * Integers are in the machine's byte order: an AF_UNIX socket never leaves the machine, and peers
 * written in C copy these structures without conversion.
 */

/** The first four bytes of every datagram. */
export const MAGIC = 0x63046173;

/** The size of the header before the first packet, in bytes. */
export const DATAGRAM_HEADER_SIZE = 8;

/** The size of the header before a packet's payload, in bytes. */
export const PACKET_HEADER_SIZE = 4;

/** The largest datagram that we accept, in bytes. The protocol itself sets no limit. */
export const MAX_DATAGRAM_SIZE = 32 * 1024;

/**
 * The longest name that we accept, in bytes. The protocol itself sets no limit. The original
 * daemon, written in C++, reads 4,096 bytes of a datagram, which is enough for such a name and one
 * more packet without a payload.
 */
export const MAX_NAME_SIZE = 4096 - DATAGRAM_HEADER_SIZE - 2 * PACKET_HEADER_SIZE;

/**
 * The largest payload of an ERROR, in bytes, a multiple of 4: existing clients read an answer
 * into a buffer of 1,024 bytes.
 */
export const MAX_ERROR_SIZE = 1000;

/** The socket's abstract name, without the NUL byte in front. */
export const SOCKET_NAME = "cm4all-spawn";

/**
 * The packets of one datagram form one request. Each command except NOP may occur at most once.
 * Commands that are not listed are ignored, because newer clients may send more.
 *
 * ERROR is the answer to any request of a client that may not use the service, to an invalid
 * request (such as one that asks for something without a NAME), and to one that cannot be
 * fulfilled. Otherwise, a request that asks for nothing (no namespace, no lease) gets no answer.
 */
export const RequestCommand = {
  /** Payload: any, ignored. Answer: none. */
  NOP: 0,

  /**
   * The name whose namespaces are requested. Payload: the name, not empty, only bytes from 0x20
   * to 0x7f. Answer: none of its own.
   */
  NAME: 1,

  /** Payload: none. Answer: NAMESPACE_HANDLES with CLONE_NEWIPC. */
  IPC_NAMESPACE: 2,

  /** Payload: none. Answer: NAMESPACE_HANDLES with CLONE_NEWPID. */
  PID_NAMESPACE: 3,

  /**
   * Payload: none, or the text for `uid_map`, a NUL byte, and the text for `gid_map`. Either text
   * may be empty; without a NUL byte, the whole payload is the `uid_map`. User namespaces are
   * kept by name and payload: a different payload means a different namespace.
   * Answer: NAMESPACE_HANDLES with CLONE_NEWUSER.
   * @see user_namespaces(7) for the format of the maps
   */
  USER_NAMESPACE: 4,

  /**
   * Requests a lease. While a lease of a name is held, the namespaces of the name are kept.
   * Payload: none. Answer: LEASE_PIPE.
   */
  LEASE_PIPE: 5,
} as const;

export const ResponseCommand = {
  /** Payload: a printable message for people, without a NUL byte. No other packet comes with it. */
  ERROR: 0,

  /**
   * Payload: for each namespace, a u32 with its CLONE_NEW* flag, in the order IPC, PID, USER.
   * Descriptors: for each value, one that refers to the namespace, in the same order.
   */
  NAMESPACE_HANDLES: 1,

  /**
   * Payload: none. Descriptor: the write end of a pipe, after those of the namespaces.
   * Closing its last copy ends the lease.
   */
  LEASE_PIPE: 2,
} as const;

/** The values in NAMESPACE_HANDLES, as in <linux/sched.h>. */
export const CLONE_NEWIPC = 0x08000000;
/** As in <linux/sched.h>. */
export const CLONE_NEWUSER = 0x10000000;
/** As in <linux/sched.h>. */
export const CLONE_NEWPID = 0x20000000;
