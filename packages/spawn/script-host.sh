#!/bin/sh
# Becomes the script host of cm4all-spawn-accounting@.service. Its descriptor 3 leads to the
# daemon, whose first line has the options that only Node's command line takes. dash and bash
# read a socket byte by byte: the messages after that line are left to the host.
read -r options <&3 || exit 0
unset LISTEN_FDS LISTEN_FDNAMES LISTEN_PID LISTEN_PIDFDID
# shellcheck disable=SC2086 # several words
exec /usr/bin/env node $options "${0%/*}/cm4all-spawn.js" script-host
