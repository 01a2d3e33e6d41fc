#!/bin/sh
# Makes the secrets that compose.yaml reads, once, in the folder secrets beside it: nothing has a default password.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir secrets
cd secrets
for name in mysql mysql-root redis minio; do
	openssl rand -hex 16 | tr -d '\n' >"$name"
done
openssl rand -base64 32 >secret
echo "requirepass $(cat redis)" >redis.conf
cat >gatehouse.yaml <<YAML
database: mysql://gatehouse:$(cat mysql)@mysql/gatehouse
redis: redis://:$(cat redis)@redis:6379/0
storage: s3://pictures?endpoint=http://minio:9000&region=us-east-1
storage-key-id: gatehouse
storage-key-secret: $(cat minio)
YAML
chmod 444 redis.conf secret gatehouse.yaml # each for the user of its container; the folder is closed to others
