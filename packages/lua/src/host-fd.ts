/** The descriptor of the script host's socket to the daemon. */
export const HOST_FD = 3;
