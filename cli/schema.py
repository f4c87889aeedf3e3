"""ctl schema: the grammar of a declaration, for editors and other tools."""

import typer


def add_to(app: typer.Typer) -> None:
    app.command()(schema)


def schema() -> None:
    """Print the JSON Schema of a declaration."""
    from controlplane.core.grammar import grammar_text

    typer.echo(grammar_text(), nl=False)
