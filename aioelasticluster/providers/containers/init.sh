# The first program of a container. It lays out what the node was ordered with, gives
# systemd a cgroup2 of its own, whatever the engine has mounted, and becomes systemd.
umask 022
trap 'exit 0' 37 # SIGRTMIN+3, by which systemd is told to halt, may come before it runs
leave() {
  echo "aioelasticluster: $2" >&2
  exit "$1"
}
found() { # the first of some programs that is there
  for program; do
    if [ -x "$program" ]; then
      echo "$program"
      return 0
    fi
  done
  return 1
}

systemd=$(found /usr/lib/systemd/systemd /lib/systemd/systemd) ||
  leave 101 "the image has no systemd"
found /usr/sbin/sshd /usr/bin/sshd >/dev/null ||
  leave 102 "the image has no SSH server (/usr/sbin/sshd)"

place=/var/lib/aioelasticluster
laid_out=$place/laid-out-$AIOEC_INSTANCE
if [ ! -e "$laid_out" ]; then # else a later start, with keys of the node's own
  # The image may be made of another node.
  rm -rf $place /etc/ssh/ssh_host_* /etc/ssh/sshd_config.d/aioelasticluster.conf \
    /etc/systemd/system/aioelasticluster-*.service \
    /etc/systemd/system/multi-user.target.wants/aioelasticluster-*.service
  printf %s "$AIOEC_SEED" | base64 -d | tar -xzf - -C / ||
    leave 103 "the image lacks base64, gzip or tar, which lay out the user-data"
  : >"$laid_out"
fi
unset AIOEC_SEED AIOEC_INSTANCE

umount -R /sys/fs/cgroup 2>/dev/null
mount -t cgroup2 cgroup2 /sys/fs/cgroup || {
  there=$(grep ' cgroup' /proc/mounts | cut -d ' ' -f 2,4 | cut -d , -f 1)
  echo "aioelasticluster: no cgroup2 for systemd; mounted are" $there >&2
}
export container=docker
exec "$systemd"
