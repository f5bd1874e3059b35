# Makes a plain Debian or Ubuntu into a node's image. Runs as root in it, in a folder
# with the lists `packages` and `downloads`, and `certificates/`.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

command -v apt-get >/dev/null || {
  echo "the image has no apt-get: only Debian and Ubuntu can be the base" >&2
  exit 1
}

# Nothing begins to serve while it is installed.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d

rm -f /etc/apt/apt.conf.d/docker-clean # it would delete what is downloaded below
cat >/etc/apt/apt.conf.d/99-aioelasticluster <<'END'
Acquire::Languages "none";
Acquire::Retries "3";
DPkg::Options { "--force-unsafe-io"; };
END
apt-get update
# shellcheck disable=SC2046
apt-get install --yes --no-install-recommends $(cat "$here/packages")

# This machine's own authorities, so that pip works behind an inspecting proxy.
mkdir -p /usr/local/share/ca-certificates
find "$here/certificates" -name '*.crt' \
  -exec cp {} /usr/local/share/ca-certificates/ \;
update-ca-certificates >/dev/null
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >/etc/pip.conf

cat >/etc/ssh/sshd_config.d/aioelasticluster-image.conf <<'END'
HostKey /etc/ssh/ssh_host_ed25519_key
UseDNS no
PermitRootLogin prohibit-password
PasswordAuthentication no
MaxStartups 200
END

# What is of no use in a container, or would act behind our back.
for unit in getty.target console-getty.service systemd-logind.service \
  systemd-networkd.service systemd-networkd.socket systemd-resolved.service \
  systemd-timesyncd.service systemd-udevd.service systemd-udev-trigger.service \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer \
  e2scrub_all.timer e2scrub_reap.service man-db.timer systemd-firstboot.service \
  sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
  sys-fs-fuse-connections.mount dev-hugepages.mount dev-mqueue.mount \
  systemd-remount-fs.service systemd-update-utmp.service \
  systemd-update-utmp-runlevel.service systemd-journal-flush.service; do
  ln -sf /dev/null "/etc/systemd/system/$unit"
done
# systemd-user sessions need logind, which is masked.
sed -i '/pam_systemd/d' /etc/pam.d/common-session 2>/dev/null || true

if [ -s "$here/downloads" ]; then
  # As one transaction where that is possible, since it is quicker.
  # shellcheck disable=SC2046
  apt-get install --yes --no-install-recommends --download-only \
    $(cat "$here/downloads") ||
    while read -r package; do
      apt-get install --yes --no-install-recommends --download-only "$package"
    done <"$here/downloads"
  # Who wants to know whether the lists are fresh (as Ansible does) shall think so.
  touch -d 2100-01-01 /var/lib/apt/lists
else
  apt-get clean
  rm -rf /var/lib/apt/lists/*
  # Nobody shall take the empty lists for fresh ones.
  touch -d 2000-01-01 /var/lib/apt/lists
  rm -f /var/cache/apt/*.bin
fi

# What each node has for itself.
rm -f /etc/ssh/ssh_host_* /usr/sbin/policy-rc.d /var/log/apt/* /var/log/dpkg.log
: >/etc/machine-id
