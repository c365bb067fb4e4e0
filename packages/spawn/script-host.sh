#!/bin/sh
# Executes the script host of cm4all-spawn-accounting@.service. Descriptor 3 is the connection to
# the daemon. The first line that the daemon sends has the options that can only be given on Node's
# command line. dash and bash read a socket byte by byte, so they leave the messages after this line
# to the script host.
read -r options <&3 || exit 0
unset LISTEN_FDS LISTEN_FDNAMES LISTEN_PID LISTEN_PIDFDID
# shellcheck disable=SC2086 # $options may have several words
exec /usr/bin/env node $options "${0%/*}/cm4all-spawn-script-host.js"
