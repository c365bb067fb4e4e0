import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { sh } from "../tools/shell.ts";

const ROOT = "/run/e2e-nss";
const PROGRAMS = "/usr/bin/id /usr/bin/whoami /usr/bin/getent /usr/bin/bash /usr/bin/ls";

/** Runs a command as a uid that is not in passwd(5). */
const AS = "setpriv --reuid 54321 --regid 54321 --clear-groups env LOGNAME=customer HOME=/tmp";

export const nss: Case = {
  title:
    "the current uid has the name $LOGNAME: on the host, in a chroot and in an unshare container",
  run() {
    assert.match(sh("grep ^passwd: /etc/nsswitch.conf"), /cm4all_logname$/);
    assert.match(sh("grep ^group: /etc/nsswitch.conf"), /cm4all_logname$/);
    check((command) => sh(`${AS} ${command}`));
    sh("cm4all-logname status");
    checkNames();

    sh(`mkdir -p ${ROOT}/etc ${ROOT}/tmp ${ROOT}/proc; cp /etc/nsswitch.conf ${ROOT}/etc`);
    sh(`printf 'root:x:0:0::/:/bin/sh\\n' >${ROOT}/etc/passwd; touch ${ROOT}/etc/group`);
    sh(`ln -s usr/lib ${ROOT}/lib; ln -s usr/lib64 ${ROOT}/lib64; ln -s usr/bin ${ROOT}/bin`);
    sh(`for f in ${PROGRAMS} /usr/lib/*/libnss_files.so.2 \\
        $(ldd ${PROGRAMS} | grep -o '/[^ :]*\\.so[^ :]*' | sort -u); do
      case $f in /lib*) f=/usr$f ;; esac; mkdir -p ${ROOT}$(dirname $f); cp -L $f ${ROOT}$f; done`);
    try {
      sh(
        `cm4all-logname remove --root ${ROOT}; cm4all-logname install --root ${ROOT} --copy-module`,
      );
      checkIn("");
      // In this container, the shell that runs the command is PID 1.
      checkIn(`unshare --mount --pid --fork --ipc --uts --mount-proc=${ROOT}/proc`);
    } finally {
      sh(`rm -r ${ROOT}`);
    }
  },
};

/**
 * Checks unusual names. su and sudo are set-uid: in them, the current uid is root's, so the module
 * does not give the caller's uid a name.
 */
function checkNames(): void {
  for (const name of ["user@example.com", "12345"]) {
    const as = AS.replace("customer", name);
    assert.equal(sh(`${as} whoami`), name);
    assert.match(sh(`! ${as} su --command id </dev/null 2>&1`), /Authentication failure/);
    assert.match(sh(`! ${as} sudo -n id 2>&1`), /do not exist in the passwd database/);
    sh(`touch /run/e2e-owned; env LOGNAME=${name} HOME=/ chown 12345 /run/e2e-owned`);
    assert.equal(sh("stat -c %u /run/e2e-owned; rm /run/e2e-owned"), "12345");
  }
}

function check(run: (command: string) => string): void {
  assert.equal(run("whoami"), "customer");
  assert.equal(run("id"), "uid=54321(customer) gid=54321(customer) groups=54321(customer)");
  assert.match(run("getent passwd customer"), /^customer:x:54321:54321:/);
}

/**
 * Calls `check` for commands with ROOT as their root directory.
 * @param container a command that runs them in a container; empty for none
 */
function checkIn(container: string): void {
  const chroot = `chroot --userspec=54321:54321 --groups= ${ROOT}`;
  const environment = "export LOGNAME=customer HOME=/tmp";
  check((command) => sh(`${container} ${chroot} /usr/bin/bash -c '${environment}; ${command}'`));
}
