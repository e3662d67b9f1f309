#!/bin/sh
# Gives each role its grants (roles.sql) and its password, as the owner of the database. It may be run again: that is how
# a password is changed.
set -eu
psql "$OWNER_URL" -X -q -v ON_ERROR_STOP=1 -f "$(dirname "$0")/roles.sql"
for role in THROTTLE RUNNER PUBLISHER OPERATOR; do
    eval "password=\$${role}_PASSWORD"
    name=sre_agent_$(echo "$role" | tr '[:upper:]' '[:lower:]')
    # From the environment into a variable of psql: in no argument, where ps would show it.
    ROLE_PASSWORD=$password psql "$OWNER_URL" -X -q -v ON_ERROR_STOP=1 -v role="$name" <<'SQL'
\getenv password ROLE_PASSWORD
alter role :"role" password :'password';
SQL
done
