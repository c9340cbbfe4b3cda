"""The tool that reads SQL databases."""

from typing import Any

from pydantic import Field

from blocks.action import Label, Touched
from blocks.databases_file import Databases
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.secret_reference import secret_at
from tasks.agents.tool import Call, Place, Tool
from tasks.agents.tools.sql.postgres import query_postgres
from tasks.agents.tools.sql.rows import Table, first_word
from tasks.agents.tools.sql.sqlite import query_sqlite


class QuerySql(Frozen):
    """Arguments of `query_sql`."""

    database: str = Field(description="Which database, by its name", max_length=40)
    sql: str = Field(
        description="One statement that reads: SELECT, WITH, VALUES or EXPLAIN", min_length=1, max_length=20_000
    )
    most_rows: int = Field(default=100, ge=1, le=1000, description="Rows that are given at most")


def tools(databases: Databases) -> tuple[Tool[Any], ...]:
    """`query_sql` over these databases; nothing where there is none."""
    if not databases.by_name:
        return ()

    def reaches(arguments: QuerySql, _place: Place) -> Touched:
        first_word(arguments.sql)
        database = databases.named(arguments.database)
        if database.kind == "sqlite":
            return Touched(reads=(str(database.path(databases.folder)),))
        return Touched()  # the operator chose the server, and no argument of a call can choose another

    async def query(arguments: QuerySql, _call: Call) -> dict[str, Any]:
        table = await _queried(databases, arguments)
        more = {"more": "there are more rows: add WHERE, LIMIT or an aggregate"} if table.more else {}
        return {"columns": list(table.columns), "rows": table.rows, **more}

    return (
        Tool(
            name="query_sql",
            description=f"Read a SQL database with one statement. {_told(databases)}",
            arguments=QuerySql,
            call=query,
            risk="medium",
            reversible=True,
            read_only=True,
            labels=_labels(databases),
            touches=reaches,
            timeout_s=max(database.timeout_s for database in databases.by_name.values()) + 20,
        ),
    )


async def _queried(databases: Databases, arguments: QuerySql) -> Table:
    database = databases.named(arguments.database)
    first_word(arguments.sql)
    if database.kind == "sqlite":
        path = database.path(databases.folder)
        return await in_thread(query_sqlite, path, arguments.sql, arguments.most_rows, database.timeout_s)
    field = f"databases.{arguments.database}.password"
    password = await secret_at(database.password, databases.folder, field)
    return await query_postgres(database, password, arguments.sql, arguments.most_rows)


def _labels(databases: Databases) -> frozenset[Label]:
    """What is in a database must not leave; what outsiders may have written there is not to be believed."""
    is_trusted = all(database.trusted for database in databases.by_name.values())
    return frozenset({"private"} if is_trusted else {"private", "untrusted"})


def _told(databases: Databases) -> str:
    kinds = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
    return "Databases: " + "; ".join(
        f"{name} ({kinds[database.kind]}{': ' * bool(database.description)}{database.description})"
        for name, database in databases.by_name.items()
    )
