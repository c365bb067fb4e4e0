/** Exit statuses of sysexits.h, as far as the suite's commands use them. */
export const EX_OK = 0;
/** The command line is wrong. */
export const EX_USAGE = 64;
/** The input's contents are wrong. */
export const EX_DATAERR = 65;
/** An input file does not exist or cannot be read. */
export const EX_NOINPUT = 66;
/** A service is not available. */
export const EX_UNAVAILABLE = 69;
/** A defect of the program itself. */
export const EX_SOFTWARE = 70;
/** The operating system refused something. */
export const EX_OSERR = 71;
/** An output file cannot be created. */
export const EX_CANTCREAT = 73;
/** An input or output error. */
export const EX_IOERR = 74;
/** A temporary failure: the command may succeed when it is tried again. */
export const EX_TEMPFAIL = 75;
/** The other side has broken the protocol. */
export const EX_PROTOCOL = 76;
/** The user may not do this. */
export const EX_NOPERM = 77;
/** The configuration is wrong. */
export const EX_CONFIG = 78;
