"""Puts rows into ClickHouse as Tinybird does into the data sources of a project, and asks the pipes.

Reads {"project", "rows", "queries", "pipes"} from standard input: the folder of the project, the
rows as they were posted, SQL, and pipes with their parameters. Writes what became of the rows in each
data source, and the answers.

A column takes its own type and nothing that would have to be converted. What Tinybird forgives is
quarantined here: passing is harder.
"""

import json
import re
import sys
import textwrap
from pathlib import Path

from chdb import session

COLUMN = re.compile(r"`(?P<name>\w+)` (?P<type>\S+) `json:(?P<path>\S+)`(?: DEFAULT (?P<default>\S+?))?,?$")
STEP = re.compile(r"\['([^']+)'\]|([A-Za-z_]\w*)|(\[:\])")
# What ClickHouse would otherwise forgive.
STRICT = {
    "date_time_input_format": "'basic'",
    "input_format_null_as_default": 0,
    "input_format_skip_unknown_fields": 0,
    "input_format_json_read_bools_as_strings": 0,
    "input_format_json_read_numbers_as_strings": 0,
    "input_format_json_read_objects_as_strings": 0,
    "input_format_json_read_arrays_as_strings": 0,
    "type_json_skip_duplicated_paths": 0,
}
CHUNK = 500


class Unfit(Exception):
    """A value that its column does not take."""


class DataSource:
    """A data source, made of its file."""

    def __init__(self, path, clickhouse):
        self.name = path.stem
        self.clickhouse = clickhouse
        lines = [line.strip() for line in path.read_text().splitlines()]
        self.columns = [found.groupdict() for line in lines if (found := COLUMN.match(line))]
        assert len(self.columns) == sum("`json:" in line for line in lines), path
        engine, partition, sorting = (
            next(line.split('"')[1] for line in lines if line.startswith(f"{word} "))
            for word in ("ENGINE", "ENGINE_PARTITION_KEY", "ENGINE_SORTING_KEY")
        )
        columns = ", ".join(
            f"`{it['name']}` {it['type']}" + (f" DEFAULT {it['default']}" if it["default"] else "")
            for it in self.columns
        )
        clickhouse.query(
            f"CREATE TABLE {self.name} ({columns}) ENGINE = {engine} "
            f"PARTITION BY {partition} ORDER BY {sorting}"
        )
        self.quarantined = []

    def take(self, lines):
        """Takes rows, and quarantines those that do not fit."""
        fitting = []
        for line in lines:
            try:
                row = json.loads(line)
                values = {it["name"]: fit(it, at(row, it["path"])) for it in self.columns}
                values = {name: value for name, value in values.items() if value is not None}
                fitting.append(json.dumps(values))
            except (Unfit, ValueError) as error:
                self.quarantined.append([str(error), line])
        for begin in range(0, len(fitting), CHUNK):
            self.insert(fitting[begin : begin + CHUNK])

    def insert(self, rows):
        settings = ", ".join(f"{name} = {value}" for name, value in STRICT.items())
        try:
            self.clickhouse.query(
                f"INSERT INTO {self.name} SETTINGS {settings} FORMAT JSONEachRow\n" + "\n".join(rows) + "\n"
            )
        except RuntimeError as error:
            if len(rows) == 1:
                self.quarantined.append([str(error)[:500], rows[0]])
                return
            half = len(rows) // 2
            self.insert(rows[:half])
            self.insert(rows[half:])

    def told(self):
        [count] = answer(self.clickhouse, f"SELECT toUInt32(count()) AS n FROM {self.name} FINAL")
        return {"rows": count["n"], "quarantined": [[why, row[:300]] for why, row in self.quarantined]}


def at(row, path):
    """What is at a path of the row; None where nothing is."""
    value = row
    for quoted, plain, elements in STEP.findall(path[1:]):
        if elements:
            if not isinstance(value, list):
                raise Unfit(f"{path} is no list")
        elif isinstance(value, dict):
            value = value.get(quoted or plain)
        else:
            return None
    return value


def fit(column, value):
    """The value, if the column takes it as it is."""
    kind = column["type"]
    if value is None:
        if column["default"] or kind.startswith("Nullable("):
            return None
        raise Unfit(f"{column['name']} is missing")
    if kind == "JSON":
        fits = isinstance(value, dict)
    elif kind.startswith("Array("):
        fits = isinstance(value, list) and all(isinstance(it, str) for it in value)
    else:
        fits = isinstance(value, str)
    if not fits:
        raise Unfit(f"{column['name']} is no {kind}")
    return value


def answer(clickhouse, sql):
    """The rows that a query answers with."""
    lines = str(clickhouse.query(sql, "JSONEachRow")).splitlines()
    return [json.loads(line) for line in lines]


def ask(clickhouse, path, parameters):
    """What a pipe answers."""
    # Tinybird's own, which knows its language of templates.
    from tinybird.sql_template import render_sql_template

    nodes = re.findall(r"^NODE (\w+)\nSQL >\n((?:[ ]{4}.*\n|\n)+)", path.read_text(), re.MULTILINE)
    assert nodes[-1][0] == "endpoint", path
    for name, sql in nodes:
        sql = textwrap.dedent(sql).strip()
        if sql.startswith("%"):
            sql = render_sql_template(sql[1:], parameters)[0]
        clickhouse.query(f"CREATE OR REPLACE VIEW {name} AS {sql}")
    return answer(clickhouse, "SELECT * FROM endpoint")


def main():
    wanted = json.load(sys.stdin)
    clickhouse = session.Session()
    project = Path(wanted["project"])
    told = {}
    for path in sorted(project.glob("datasources/*.datasource")):
        source = DataSource(path, clickhouse)
        source.take(wanted["rows"])
        told[source.name] = source.told()
    told["queries"] = [answer(clickhouse, sql) for sql in wanted["queries"]]
    told["pipes"] = [
        ask(clickhouse, project / "pipes" / f"{name}.pipe", parameters) for name, parameters in wanted["pipes"]
    ]
    json.dump(told, sys.stdout)


main()
