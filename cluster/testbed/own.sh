#!/bin/sh
# Gives a host files of its own, in a mount namespace that is already its own, then becomes the command in "$@".
#
# Of the machine's files it sees all but the temporary ones and the home, and can change none. What it writes to
# its own /tmp ends with it; HOME is the folder DISK, which stays when it is started again. KEPT are folders
# that every host sees, read-only, even where they are below a hidden one: the sources, Python and its packages.
set -eu
IFS=:  # between the folders in KEPT

mount --make-rprivate /
if ! [ -d /run/testbed ]; then  # in the first of all; the hosts are started from there
    mount -t tmpfs testbed /run
    mkdir -m 700 /run/testbed /run/testbed/kept /run/testbed/shared
    mkdir /run/sshd
    number=0
    for path in $KEPT; do
        mkdir "/run/testbed/kept/$number"
        mount --bind "$path" "/run/testbed/kept/$number"
        mount -o remount,bind,ro "/run/testbed/kept/$number"
        number=$((number + 1))
    done
    mount -o remount,bind,ro /
fi
mkdir -p "$DISK"
mount --bind "$DISK" "$HOME"
chmod 700 "$HOME"
for path in /tmp /var/tmp /dev/shm /mnt; do
    mount -t tmpfs own "$path"
done
number=0
for path in $KEPT; do
    if ! [ -e "$path" ] || [ -z "$(ls "$path")" ]; then  # it is below a hidden folder
        mkdir -p "$path"
        mount --bind "/run/testbed/kept/$number" "$path"
    fi
    number=$((number + 1))
done
mkdir /mnt/shared
mount --bind /run/testbed/shared /mnt/shared
cd
exec "$@"
