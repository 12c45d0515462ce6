#!/bin/sh
# Print every fact about every conversation, from the beginning: examples/consume.sh
# More options are kcat's own, for example -e: end when everything was read.
exec kcat -C -q -u -b "${KAFKA_BOOTSTRAP_SERVERS:-127.0.0.1:9092}" -t "${PARLEY_TOPIC_PREFIX:-parley.}conversations" \
    -o beginning -f '%k %s\n' "$@"
