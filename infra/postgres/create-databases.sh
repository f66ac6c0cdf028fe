#!/usr/bin/env bash
# Run by the Postgres image at the first start: one database each, so that no migration meets another's tables.
set -euo pipefail
for database in mlflow prefect ledger; do
    psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
        -c "CREATE DATABASE $database OWNER \"$POSTGRES_USER\""
done
