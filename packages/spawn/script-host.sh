#!/bin/sh
# Executes the script host of cm4all-spawn-accounting@.service. Descriptor 3 is the connection to
# the daemon. Its first line has the options that can only be given on Node's command line. dash
# and bash read a socket byte by byte, so the host can read the messages after this line.
read -r options <&3 || exit 0
unset LISTEN_FDS LISTEN_FDNAMES LISTEN_PID LISTEN_PIDFDID
# shellcheck disable=SC2086 # several words
exec /usr/bin/env node $options "${0%/*}/cm4all-spawn-script-host.js"
