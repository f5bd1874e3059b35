# Makes the login, its keys and the host's, and applies user-data, at the first boot.
cd /var/lib/aioelasticluster || exit
[ ! -e booted ] || exit 0
umask 022

login=$(cat login)
if ! id -u "$login" >/dev/null 2>&1; then
  useradd --create-home --shell /bin/bash "$login"
  usermod --password '*' "$login" # no password, but not locked either
fi
if [ "$login" != root ] && [ -d /etc/sudoers.d ]; then
  echo "$login ALL=(ALL) NOPASSWD:ALL" >/etc/sudoers.d/90-aioelasticluster
  chmod 440 /etc/sudoers.d/90-aioelasticluster
fi

# The home may be shared by all nodes, which boot at the same time.
home=$(getent passwd "$login" | cut -d: -f6)
group=$(id -g "$login")
keys=$home/.ssh/authorized_keys
[ -d "$home" ] || install -d -m 755 -o "$login" -g "$group" "$home"
install -d -m 700 -o "$login" -g "$group" "$home/.ssh"
{ # files may lack the end of their last line
  cat "$keys"
  echo
  cat authorized_keys
} 2>/dev/null | grep . | sort -u >"$keys.$HOSTNAME"
chown "$login:$group" "$keys.$HOSTNAME"
chmod 600 "$keys.$HOSTNAME"
mv -f "$keys.$HOSTNAME" "$keys"

if [ -e given-host-keys ]; then # no other, as ssh_deletekeys says
  for key in /etc/ssh/ssh_host_*_key; do
    grep -qxF "$key" given-host-keys || rm -f "$key" "$key.pub"
  done
else # whoever has the image knows its keys
  rm -f /etc/ssh/ssh_host_*
  ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
fi

[ ! -e before-ssh ] || . ./before-ssh
: >booted
