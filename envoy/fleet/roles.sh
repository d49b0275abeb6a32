#!/bin/sh
# Names etcd's users and what they may do:
#   roles.sh PREFIX MEMBER … [-- READER …]
# Members of the fleet read and write below /larder/NAME/; readers (role "reader") read its log alone. A user's name is the
# common name of a certificate. There is a user root, too, for you. From then on etcd asks everybody who they are.
# ETCDCTL is the command to run, with the flags that it needs:
#   ETCDCTL="etcdctl --endpoints=https://127.0.0.1:2379 --cacert=tls/ca.pem --cert=tls/root.pem --key=tls/root.key"
set -eu
[ $# -ge 2 ] || { sed -n '2,7s/^# //p' "$0" >&2; exit 2; }
prefix=$1
shift
ctl() { env ETCDCTL_API=3 ${ETCDCTL:-etcdctl} "$@"; }

role() { # NAME PERMISSION PREFIX
  ctl role get "$1" >/dev/null 2>&1 || ctl role add "$1"
  ctl role grant-permission "$1" "$2" --prefix "$3"
}

user() { # NAME ROLE
  ctl user get "$1" >/dev/null 2>&1 || ctl user add "$1" --no-password
  ctl user grant-role "$1" "$2"
}

# One role for each fleet: several may share an etcd.
fleet=$(basename "$prefix")
role "larder-$fleet" readwrite "$prefix"
role "larder-$fleet-reader" read "${prefix}log/"
as="larder-$fleet"
for name in "$@"; do
  if [ "$name" = -- ]; then as="larder-$fleet-reader"; else user "$name" "$as"; fi
done
ctl role get root >/dev/null 2>&1 || ctl role add root
user root root
ctl auth enable
