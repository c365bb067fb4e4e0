#!/bin/sh
# Replaces the programs of the original, and names the program that does their work now.
echo "${0##*/}: is a part of cm4all-spawn(8) now, which cm4all-spawn.service runs; see \"Replacing the original\" in /usr/share/doc/cm4all-spawn/README.md" >&2
exit 64
