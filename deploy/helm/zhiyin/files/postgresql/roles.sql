-- The role and the database of $SERVICE, by psql as the superuser. Done again it changes only what is not so; $CHANGED
-- says that the passwords may be others. What needs a lock is a statement of its own, so nothing is held for long.
\set ON_ERROR_STOP on
\set service `printf %s "$SERVICE"`

SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'service') AS absent \gset
\if :absent
CREATE ROLE :"service";
\endif
\set changed `printf %s "$CHANGED"`
\if :changed
\set superuser `cat "$PASSWORD_FILES/superuser"`
\set password `cat "$PASSWORD_FILES/$SERVICE"`
ALTER ROLE CURRENT_USER PASSWORD :'superuser';
ALTER ROLE :"service" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
\endif

SELECT format('CREATE DATABASE %1$I OWNER %1$I', :'service')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'service') \gexec
SELECT format('ALTER DATABASE %I OWNER TO %I', datname, :'service')
FROM pg_database WHERE datname = :'service' AND pg_get_userbyid(datdba) <> :'service' \gexec
-- Whoever may connect to a database reads its catalogue, and fills its temporary tables.
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', datname)
FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba)))
WHERE datname IN (:'service', 'postgres', 'template1', CURRENT_USER) AND grantee = 0
GROUP BY datname \gexec

\connect :"service"
-- What the superuser made here, when services still connected as it.
SELECT format('ALTER %s OWNER TO %I', object, :'service')
FROM (
  SELECT format('SCHEMA %I', nspname) AS object, nspowner AS owner
  FROM pg_namespace
  WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\_%'
  UNION ALL
  SELECT CASE relkind
      WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE'
      WHEN 'c' THEN 'TYPE' ELSE 'TABLE'
    END || format(' %I.%I', nspname, relname), relowner
  FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
  WHERE relkind IN ('r', 'p', 'S', 'v', 'm', 'f', 'c') AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\_%'
    -- A column's sequence goes with its table, and what an extension made stays with the extension.
    AND NOT EXISTS (
      SELECT FROM pg_depend
      WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
        AND (deptype = 'e' OR relkind = 'S' AND deptype IN ('a', 'i'))
    )
  UNION ALL
  SELECT 'TYPE ' || pg_type.oid::regtype, typowner
  FROM pg_type JOIN pg_namespace ON pg_namespace.oid = typnamespace
  WHERE typtype IN ('d', 'e', 'r') AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\_%'
    AND NOT EXISTS (
      SELECT FROM pg_depend WHERE classid = 'pg_type'::regclass AND objid = pg_type.oid AND deptype = 'e'
    )
  UNION ALL
  SELECT 'ROUTINE ' || pg_proc.oid::regprocedure, proowner
  FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
  WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\_%'
    AND NOT EXISTS (
      SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e'
    )
) AS found
WHERE pg_get_userbyid(owner) = CURRENT_USER \gexec
