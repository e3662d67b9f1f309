package main

import (
	"context"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/store"
)

const rolesCure = "give each program a role of its own: sre-agent migrate as the owner, then deploy/postgres/roles.sql"

// right is one thing that a role may do.
type right struct{ privilege, table string }

// rights are of each program one thing that it can't work without, and what is another one's work.
var rights = map[config.Program]struct {
	needs []right
	never []right
}{
	config.Throttle: {
		needs: []right{{"insert", "deliveries"}, {"insert", "runs"}},
		never: []right{{"insert", "attempts"}, {"insert", "fixes"}, {"insert", "publications"}},
	},
	config.Runner: {
		needs: []right{{"insert", "attempts"}, {"insert", "fixes"}},
		never: []right{{"insert", "runs"}, {"update", "fixes"}, {"insert", "publications"}, {"update", "repository_settings"}},
	},
	config.Publisher: {
		needs: []right{{"insert", "publications"}, {"insert", "turns"}},
		never: []right{{"insert", "runs"}, {"insert", "fixes"}, {"update", "fixes"}, {"update", "repository_settings"}},
	},
	config.Operator: {needs: []right{{"insert", "operations"}, {"update", "repository_settings"}}},
	config.All:      {needs: []right{{"insert", "deliveries"}, {"insert", "attempts"}, {"insert", "publications"}}},
}

// role compares what the database's role may do with what the program needs.
func (d *doctor) role(ctx context.Context, st *store.Store) {
	const check = "role"
	found := len(d.findings)
	of := rights[d.cfg.Program()]
	for _, wanted := range []bool{true, false} {
		list := of.never
		if wanted {
			list = of.needs
		}
		for _, r := range list {
			may, err := st.May(ctx, r.privilege, r.table)
			switch {
			case err != nil:
				d.warn(check, "sre-agent migrate", "not checked: %s", err)
				return
			case !may && wanted:
				d.fail(check, rolesCure, "it may not %s %s", r.privilege, r.table)
			case may && !wanted:
				d.warn(check, rolesCure, "it may %s %s, which is no work of the %s", r.privilege, r.table, d.cfg.Program())
			}
		}
	}
	if may, err := st.MayCreate(ctx); err == nil && may && d.cfg.Program() != config.All {
		d.warn(check, rolesCure, "it may change the schema, which is the owner's work")
	}
	if len(d.findings) == found {
		d.ok(check, "it may do the work of the %s, and nothing of another's that was tried", d.cfg.Program())
	}
}
