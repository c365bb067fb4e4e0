/** The descriptor on which the script host talks to the daemon. */
export const HOST_FD = 3;
