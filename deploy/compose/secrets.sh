#!/bin/sh
# Writes .env beside it, with a random password for each service, and never over one that is there.
set -eu
umask 077
cd "$(dirname "$0")"
if [ -e .env ]; then
    echo "deploy/compose/.env is there already" >&2
    exit 1
fi
{
    for name in NATS_INGEST NATS_THROTTLE NATS_RUNNER NATS_PUBLISHER NATS_OPERATOR \
        POSTGRES POSTGRES_THROTTLE POSTGRES_RUNNER POSTGRES_PUBLISHER POSTGRES_OPERATOR GRAFANA; do
        echo "${name}_PASSWORD=p$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
    done
    echo "GITHUB_WEBHOOK_SECRETS=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')"
    echo "# Yours: docs/getting-started.md says what they need."
    echo "GITHUB_READ_TOKEN="
    echo "GITHUB_WRITE_TOKEN="
} >.env
