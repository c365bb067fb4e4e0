#!/bin/sh
# Takes the place of two programs of the C++ implementation, and prints what now does their work.
echo "${0##*/}: this program is now a part of cm4all-spawn(8), which cm4all-spawn.service runs; see \"Replacing the original\" in /usr/share/doc/cm4all-spawn/README.md" >&2
exit 64
