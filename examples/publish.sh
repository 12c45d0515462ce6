#!/bin/sh
# Answer a customer: examples/publish.sh whatsapp:100000000000001:351912000001 "Your parcel is on its way."
# The key must be the thread, and the partitioner Kafka's own (murmur2): kcat's default is another.
set -eu
thread=$1
text=$(printf '%s' "$2" | sed 's/[\\"]/\\&/g')
id="shell-$(date +%s)-$$"
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
envelope="\"specversion\":\"1.0\",\"id\":\"$id\",\"source\":\"https://tracking.example\",\"type\":\"parley.reply.v1\",\"subject\":\"$thread\",\"time\":\"$now\""
data="{\"author\":{\"kind\":\"integration\",\"id\":\"parcel-tracking\"},\"reply_id\":\"$id\",\"content\":{\"kind\":\"text\",\"text\":\"$text\"}}"
printf '{%s,"data":%s}' "$envelope" "$data" |
    kcat -P -b "${KAFKA_BOOTSTRAP_SERVERS:-127.0.0.1:9092}" -t "${PARLEY_TOPIC_PREFIX:-parley.}commands" -k "$thread" \
        -X topic.partitioner=murmur2_random -X enable.idempotence=true
echo "$id"
