#!/bin/bash
# Connects a GPU host to its autoscaling group. The host joins when its worker is ready, and is not scaled in
# while desktops run on it. When the group ends it or its spot instance is reclaimed, it leaves once its
# worker has drained.
set -uo pipefail
METADATA=http://169.254.169.254/latest
EVERY_S=${EVERY_S:-5}

metadata() {
  local token
  token=$(curl -fsS -m 2 -X PUT "$METADATA/api/token" -H 'X-aws-ec2-metadata-token-ttl-seconds: 60') || return 1
  curl -fsS -m 2 -H "X-aws-ec2-metadata-token: $token" "$METADATA/meta-data/$1" 2>/dev/null
}
group() { aws autoscaling "$@" --region "$AWS_REGION" --auto-scaling-group-name "$GROUP"; }
complete() {
  group complete-lifecycle-action --instance-id "$instance" --lifecycle-hook-name "$1" --lifecycle-action-result CONTINUE
}
ready() { curl -fsS -m 3 -o /dev/null http://127.0.0.1:8795/health/ready; }
desktops() { docker ps --quiet --filter "label=warmwind.fleet=$FLEET" | wc -l; }

until instance=$(metadata instance-id); do sleep 1; done
joined='' kept=''
while true; do
  if [ "$(metadata autoscaling/target-lifecycle-state)" = Terminated ] || metadata spot/instance-action >/dev/null; then
    # The unit bounds this: afterwards the worker is killed.
    systemctl stop warmwind-worker
    complete drained
    exit 0
  fi
  if [ -z "$joined" ] && ready; then complete ready && joined=1; fi
  if [ "$(desktops)" -gt 0 ]; then want=--protected-from-scale-in; else want=--no-protected-from-scale-in; fi
  # Only a host in service can be protected; until then the call is repeated.
  if [ -n "$joined" ] && [ "$want" != "$kept" ]; then
    group set-instance-protection --instance-ids "$instance" "$want" && kept=$want
  fi
  sleep "$EVERY_S"
done
