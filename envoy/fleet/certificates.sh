#!/bin/sh
# Makes certificates for etcd and its clients with openssl:
#   certificates.sh FOLDER NAME [SUBJECT-ALTERNATIVE-NAMES]
# The first call makes an authority (ca.pem, ca.key) in the folder. NAME becomes the common name, which is the user that
# etcd takes a client for. Servers need alternative names, such as DNS:etcd-0.etcd.larder.svc,IP:10.0.0.7.
# Certificates last a year (DAYS=30: a month). A certificate that is there already is left alone.
set -eu
[ $# -ge 2 ] || { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }
folder=$1 name=$2 names=${3-} days=${DAYS:-365}
key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
umask 077
mkdir -p "$folder"
cd "$folder"

if [ ! -f ca.pem ]; then
  openssl req -x509 $key -keyout ca.key -out ca.pem -days 3650 -subj "/CN=Larder fleet"
fi
[ ! -f "$name.pem" ] || exit 0

{
  echo "basicConstraints = critical,CA:FALSE"
  echo "keyUsage = critical,digitalSignature"
  # etcd is a client, too: of its own gateway, and of the other members.
  echo "extendedKeyUsage = $([ -z "$names" ] || echo serverAuth,)clientAuth"
  [ -z "$names" ] || echo "subjectAltName = $names"
} > "$name.ext"
openssl req $key -keyout "$name.key" -out "$name.csr" -subj "/CN=$name"
openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days "$days" -extfile "$name.ext" \
  -out "$name.pem"
rm "$name.csr" "$name.ext"
