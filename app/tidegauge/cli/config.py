"""``tidegauge config``: checking a rule file before it is in force."""

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from tidegauge.cli._errors import BAD_INPUT
from tidegauge.cli._print import echo, echo_json
from tidegauge.rules import RuleError, load_rules, rule_schema

app = typer.Typer(help="Rule files.", no_args_is_help=True)


@app.command("validate")
def validate(
    file: Annotated[Path, typer.Argument(help="A rule file.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Find everything that is wrong with a rule file, by line and column; exit with 2 if it is."""
    problems: list[str] = []
    rules: list[str] = []
    sha256 = None
    try:
        read = load_rules(file)
        rules, sha256 = [rule.name for rule in read.rules], read.sha256
    except RuleError as error:
        problems = error.problems
    if json:
        said = {"file": str(file), "problems": problems, "rules": rules, "sha256": sha256}
        echo_json(jsonlib.dumps(said))
    elif problems:
        for problem in problems:
            echo(problem, err=True)
    else:
        echo(f"{file}: {len(rules)} rules, nothing wrong; sha256 {sha256}")
    if problems:
        raise typer.Exit(BAD_INPUT)


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of rule files, for editors that complete and check them."""
    echo_json(jsonlib.dumps(rule_schema(), indent=2))
