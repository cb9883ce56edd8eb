"""The database itself refuses to change or remove what is only added to.

Rows leave by retention alone: below the checkpoint that a leave (audit_prune) names, and on
PostgreSQL by the role fluxiq_retention alone. A trigger also notes each new event as one to seal;
those that were there before are noted here.

On SQLite, Django alters a table by making it anew, which drops its triggers: a later migration that
does so to one of these tables has to run `install` again.
"""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

APPEND_ONLY = ("audit_auditevent", "audit_seal", "audit_checkpoint", "audit_prune")
REFUSAL = "the audit trail is only ever added to"

# Every name is written with its schema: the caller's search path must not lead elsewhere.
POSTGRESQL = """
CREATE FUNCTION {schema}.audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '{refusal}: % of % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION {schema}.audit_prune_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'fluxiq_retention' OR NOT EXISTS (
        SELECT FROM {schema}.audit_seal
        WHERE event_id = OLD.id
          AND position < (SELECT max(checkpoint_id) FROM {schema}.audit_prune)
    ) THEN
        RAISE EXCEPTION '{refusal}: % of % is refused', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END $$;

CREATE FUNCTION {schema}.audit_prune_seal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'fluxiq_retention' OR NOT EXISTS (
        SELECT FROM {schema}.audit_prune WHERE OLD.position < checkpoint_id
    ) THEN
        RAISE EXCEPTION '{refusal}: % of % is refused', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END $$;

CREATE FUNCTION {schema}.audit_note_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {schema}.audit_pendingevent (event_id) VALUES (NEW.id);
    RETURN NULL;
END $$;

CREATE TRIGGER audit_delete BEFORE DELETE ON {schema}.audit_auditevent
    FOR EACH ROW EXECUTE FUNCTION {schema}.audit_prune_event();
CREATE TRIGGER audit_delete BEFORE DELETE ON {schema}.audit_seal
    FOR EACH ROW EXECUTE FUNCTION {schema}.audit_prune_seal();
CREATE TRIGGER audit_delete BEFORE DELETE ON {schema}.audit_checkpoint
    FOR EACH ROW EXECUTE FUNCTION {schema}.audit_refuse();
CREATE TRIGGER audit_delete BEFORE DELETE ON {schema}.audit_prune
    FOR EACH ROW EXECUTE FUNCTION {schema}.audit_refuse();
CREATE TRIGGER audit_note AFTER INSERT ON {schema}.audit_auditevent
    FOR EACH ROW EXECUTE FUNCTION {schema}.audit_note_event();
ALTER TABLE {schema}.audit_auditevent ENABLE ALWAYS TRIGGER audit_note;
"""
# ALWAYS: also where a session calls itself a replica.
POSTGRESQL_EACH = """
CREATE TRIGGER audit_update BEFORE UPDATE ON {schema}.{table}
    FOR EACH ROW EXECUTE FUNCTION {schema}.audit_refuse();
CREATE TRIGGER audit_truncate BEFORE TRUNCATE ON {schema}.{table}
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.audit_refuse();
ALTER TABLE {schema}.{table} ENABLE ALWAYS TRIGGER audit_delete;
ALTER TABLE {schema}.{table} ENABLE ALWAYS TRIGGER audit_update;
ALTER TABLE {schema}.{table} ENABLE ALWAYS TRIGGER audit_truncate;
"""

SQLITE_MAY_GO = {
    "audit_auditevent": """NOT EXISTS (
        SELECT 1 FROM audit_seal WHERE event_id = OLD.id
        AND position < (SELECT max(checkpoint_id) FROM audit_prune))""",
    "audit_seal": "NOT EXISTS (SELECT 1 FROM audit_prune WHERE OLD.position < checkpoint_id)",
    "audit_checkpoint": "true",
    "audit_prune": "true",
}
# INSERT OR REPLACE removes the row in its way without a word to the triggers of DELETE.
SQLITE_IS_THERE = {
    "audit_auditevent": "SELECT 1 FROM audit_auditevent WHERE id = NEW.id",
    "audit_seal": "SELECT 1 FROM audit_seal WHERE position = NEW.position"
    " OR event_id = NEW.event_id",
    "audit_checkpoint": "SELECT 1 FROM audit_checkpoint WHERE position = NEW.position",
    "audit_prune": "SELECT 1 FROM audit_prune WHERE checkpoint_id = NEW.checkpoint_id",
}
SQLITE_EACH = (
    "CREATE TRIGGER {table}_update BEFORE UPDATE ON {table}"
    " BEGIN SELECT RAISE(ABORT, '{refusal}: UPDATE of {table} is refused'); END",
    "CREATE TRIGGER {table}_delete BEFORE DELETE ON {table} WHEN {unless}"
    " BEGIN SELECT RAISE(ABORT, '{refusal}: DELETE of {table} is refused'); END",
    "CREATE TRIGGER {table}_replace BEFORE INSERT ON {table} WHEN EXISTS ({there})"
    " BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: {table} has this row'); END",
)
SQLITE_NOTE = (
    "CREATE TRIGGER audit_auditevent_note AFTER INSERT ON audit_auditevent"
    " BEGIN INSERT INTO audit_pendingevent (event_id) VALUES (NEW.id); END"
)

NOTE_OLD = "INSERT INTO audit_pendingevent (event_id) SELECT id FROM audit_auditevent"


def install(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Install the triggers, and note the events there are."""
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT quote_ident(current_schema())")
            names = {"schema": cursor.fetchone()[0], "refusal": REFUSAL}
            for statement in (
                POSTGRESQL.format(**names),
                *(POSTGRESQL_EACH.format(table=table, **names) for table in APPEND_ONLY),
            ):
                cursor.execute(statement)
        else:
            for table in APPEND_ONLY:
                names = {
                    "table": table,
                    "refusal": REFUSAL,
                    "unless": SQLITE_MAY_GO[table],
                    "there": SQLITE_IS_THERE[table],
                }
                for statement in SQLITE_EACH:
                    cursor.execute(statement.format(**names))
            cursor.execute(SQLITE_NOTE)
        cursor.execute(NOTE_OLD)


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_seals")]

    # Not to be undone: what was added only may then be changed.
    operations = [migrations.RunPython(install, elidable=False)]
