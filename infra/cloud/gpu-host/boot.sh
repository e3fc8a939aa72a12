# Runs once on a new GPU host, after its settings were written to /etc/warmwind/host.env: Docker and NVIDIA's
# toolkit, then the model server, the worker and the watch over both as services of systemd.
. /etc/warmwind/host.env

command -v docker >/dev/null || dnf install -y docker
if ! command -v nvidia-ctk >/dev/null; then
  curl -fsSL https://nvidia.github.io/libnvidia-container/stable/rpm/nvidia-container-toolkit.repo \
    -o /etc/yum.repos.d/nvidia-container-toolkit.repo
  dnf install -y nvidia-container-toolkit
fi
nvidia-ctk runtime configure --runtime=docker
systemctl enable docker
systemctl restart docker

registry=${WORKER_IMAGE%%/*}
aws ecr get-login-password --region "$AWS_REGION" | docker login --username AWS --password-stdin "$registry"
for image in "$WORKER_IMAGE" "$MODEL_IMAGE"; do docker pull --quiet "$image"; done
for named in ${DESKTOP_IMAGES//,/ }; do
  docker pull --quiet "${named#*=}"
  docker tag "${named#*=}" "warmwind/${named%%=*}:latest"
done
# Desktops that may use the network reach the internet only, and not each other.
docker network create --opt com.docker.network.bridge.enable_icc=false warmwind-egress || true

# Secrets: fetched at every start, kept in memory, readable by root alone.
cat >/usr/local/bin/warmwind-secrets <<'END'
#!/bin/bash
set -euo pipefail
umask 077
mkdir -p /run/warmwind
aws ssm get-parameters-by-path --region "$AWS_REGION" --path "$PARAMETERS" --with-decryption \
  --query 'Parameters[].[Name,Value]' --output text |
  while IFS=$'\t' read -r name value; do printf '%s=%s\n' "${name##*/}" "$value"; done >/run/warmwind/secrets.env
END

token=$(curl -fsS -X PUT http://169.254.169.254/latest/api/token -H 'X-aws-ec2-metadata-token-ttl-seconds: 60')
instance=$(curl -fsS -H "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/meta-data/instance-id)
cat >/etc/warmwind/worker.env <<END
BIND=127.0.0.1
PORT=8795
WORKER_HOST=$instance
FLEET=$FLEET
DATA_DIR=/var/lib/docker/volumes
EGRESS_NETWORK=warmwind-egress
WARM_POOL={"desktop":2}
MODEL_SERVERS=http://127.0.0.1:8000
INFERENCE_LIMIT=600/min
INFERENCE_CONCURRENCY=16
ADMIN_PORT=8796
SHUTDOWN_TIMEOUT_MS=$SHUTDOWN_TIMEOUT_MS
END

cat >/etc/systemd/system/warmwind-model.service <<END
[Unit]
Description=Warmwind model server
After=docker.service
Requires=docker.service
[Service]
ExecStartPre=-/usr/bin/docker rm --force warmwind-model
ExecStart=/usr/bin/docker run --rm --name warmwind-model --gpus all --ipc host --publish 127.0.0.1:8000:8000 \\
  --volume /var/lib/warmwind/models:/root/.cache/huggingface $MODEL_IMAGE --model $MODEL
ExecStop=/usr/bin/docker stop --timeout 10 warmwind-model
Restart=always
RestartSec=5
[Install]
WantedBy=multi-user.target
END

cat >/etc/systemd/system/warmwind-worker.service <<END
[Unit]
Description=Warmwind worker
After=docker.service network-online.target
Requires=docker.service
[Service]
EnvironmentFile=/etc/warmwind/host.env
ExecStartPre=/usr/local/bin/warmwind-secrets
ExecStartPre=-/usr/bin/docker rm --force warmwind-worker
ExecStart=/usr/bin/docker run --rm --name warmwind-worker --network host --group-add $(getent group docker | cut -d: -f3) \\
  --gpus all,capabilities=utility \\
  --env-file /etc/warmwind/worker.env --env-file /run/warmwind/secrets.env \\
  --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \\
  --volume /var/run/docker.sock:/var/run/docker.sock \\
  --volume /var/lib/docker/volumes:/var/lib/docker/volumes:ro,rslave $WORKER_IMAGE
ExecStop=/usr/bin/docker stop --timeout $STOP_TIMEOUT_S warmwind-worker
TimeoutStopSec=$((STOP_TIMEOUT_S + 5))
Restart=always
RestartSec=2
[Install]
WantedBy=multi-user.target
END

cat >/etc/systemd/system/warmwind-lifecycle.service <<END
[Unit]
Description=Warmwind: this host joins, is kept and leaves its group
After=warmwind-worker.service
[Service]
EnvironmentFile=/etc/warmwind/host.env
ExecStart=/usr/local/bin/warmwind-lifecycle
Restart=on-failure
RestartSec=5
[Install]
WantedBy=multi-user.target
END

chmod 0755 /usr/local/bin/warmwind-secrets /usr/local/bin/warmwind-lifecycle
systemctl daemon-reload
systemctl enable --now warmwind-model warmwind-worker warmwind-lifecycle
