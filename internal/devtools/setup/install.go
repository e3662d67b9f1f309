package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
)

// installScript installs the packages in its arguments and starts no service: sre-agent runs its own, private
// ones. policy-rc.d is Debian's way to say so (see invoke-rc.d(8)), and createcluster.d keeps PostgreSQL from
// making a cluster (see pg_createcluster(1)). Both are taken away again, so the machine's own ways come back.
const installScript = `set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.d/sre-agent-setup.conf
made=
clean() { [ -z "$made" ] || rm -f $made; }
trap clean EXIT
trap 'exit 130' INT TERM HUP
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	made="$policy"
fi
mkdir -p "${cluster%/*}"
echo 'create_main_cluster = false' >"$cluster"
made="$made $cluster"
apt-get update
apt-get install -y --no-install-recommends "$@"
`

func installCommand(p plan) []string {
	return slices.Concat(p.prefix, []string{"sh", "-c", installScript, "setup"}, p.packages)
}

func install(ctx context.Context, p plan) error {
	args := installCommand(p)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("apt-get install %v: %w", p.packages, err)
	}
	return nil
}
