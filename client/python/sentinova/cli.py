"""The `sentinova` command: input and output around a `Client`.

Knows the command line. Must not know gRPC: it calls the client, `sentinova.display` shows what comes back,
and `sentinova.report` explains what does not. The commands about models are in `sentinova.models_cli`.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import click
from click.shell_completion import get_completion_class

import sentinova
import sentinova.core_log  # before everything that loads gRPC
from sentinova import display
from sentinova.client import Client
from sentinova.documents import Lines, chunks
from sentinova.errors import SentinovaError
from sentinova.file_cli import NOTE, score_table, tabled
from sentinova.file_scoring import Task
from sentinova.models_cli import models
from sentinova.options import analyzing, connected
from sentinova.report import EXIT_CODES, ExitCode, exit_code, explain
from sentinova.results import Answer, Sentiment

TEXTS_PER_CALL = 256  # of `analyze`: within every server's limit, and enough to fill its batches


class Program(click.Group):
    """The command as a whole: where every way to fail becomes a message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except SentinovaError as error:
            click.secho(f"sentinova: {explain(error, ctx.meta.get('sentinova.address'))}", err=True, fg="red")
            _tell_note(ctx)
            ctx.exit(exit_code(error))
        except KeyboardInterrupt:
            _tell_note(ctx)
            ctx.exit(ExitCode.INTERRUPTED)
        except BrokenPipeError:
            # Whatever is still buffered goes nowhere, or Python would complain about it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(ExitCode.OUTPUT_CLOSED)
        return result


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(sentinova.__version__, prog_name="sentinova")
def main() -> None:
    """Sentiment of text, from a Sentinova server.

    \b
    Examples:
      sentinova analyze "A quiet, lovely film."
      cat reviews.txt | sentinova analyze --json | jq .label
      sentinova stream reviews.txt --model sentiment_en --version 2 > answers.tsv
      sentinova analyze --file reviews.csv --column text --out scored.csv
      sentinova models list --address 127.0.0.1:8001
      sentinova models watch --json | jq .state
    """  # noqa: D301  (\b is click's mark for lines to keep)


@main.command(epilog=EXIT_CODES)
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@tabled
@connected
@analyzing
def analyze(client: Client, texts: tuple[str, ...], as_json: bool, task: Task | None, **choice: Any) -> None:
    """Analyze each TEXT. Without TEXT, or with -, analyze each line of the standard input.

    Blank lines of the standard input are passed over. Write -- before texts that begin with a dash.

    With --file, each row of a CSV, TSV or JSON Lines file is analyzed by the text in one of its columns, and written to
    another file with a label, a score and an error added, in the same order. A run that was interrupted goes on where
    it stopped when the same command is given again.

    \b
    Examples:
      sentinova analyze "A quiet, lovely film." "Two hours I will not get back."
      sentinova analyze --json --model sentiment_en --version 1 "Not bad at all."
      sentinova analyze --label canary --json "Not bad at all."
      sentinova analyze --long-text truncate - < reviews.txt
      sentinova analyze --file reviews.csv --column text --out scored.csv
    """  # noqa: D301
    if task is not None:
        if texts:
            raise click.UsageError("Give either TEXT or --file.")
        _exit(score_table(client, task, choice, as_json=as_json))
        return
    source = texts if texts not in {(), ("-",)} else _standard_input()
    failed = start = 0
    for chunk in chunks(source, TEXTS_PER_CALL):
        outcomes = client.analyze_batch(chunk, **choice)
        answers = [_answer(start + place, each) for place, each in enumerate(outcomes)]
        start += len(chunk)
        failed += sum(each.error is not None for each in answers)
        if as_json:
            for answer in answers:
                display.echo_json(display.answer_json(answer))
        else:
            display.show_answers(answers, chunk)
            _complain(answers)
    if not start:
        raise click.UsageError("There is no text to analyze.")
    _exit(failed)


@main.command(epilog=EXIT_CODES)
@click.argument("file", type=click.File("rb"))
@click.option("--unordered", is_flag=True, help="Write each answer as soon as it is there, in any order.")
@connected
@analyzing
def stream(client: Client, file: BinaryIO, unordered: bool, as_json: bool, **choice: Any) -> None:
    """Analyze each line of FILE (- is the standard input), in one call and in bounded memory.

    Answers are written in the order of the lines. The id of an answer is the number of its line, from 1.
    Blank lines are passed over. Without --json an answer is a line of tabbed columns: id, label, score, start
    of the text.

    \b
    Examples:
      sentinova stream reviews.txt > answers.tsv
      tail -f reviews.log | sentinova stream - --unordered --json
      sentinova stream reviews.txt --routing-key user-17 > answers.tsv
    """  # noqa: D301
    lines = Lines(file)
    counts: Counter[str] = Counter()
    answers = client.stream(lines, ordered=not unordered, **choice)
    with closing(answers), _progress(file) as progress:
        for answer in answers:
            text, size = lines.take(answer.id)
            counts["failed" if answer.result is None else answer.result.label] += 1
            if as_json:
                display.echo_json(display.answer_json(answer))
            else:
                display.echo_line(display.answer_line(answer, text))
                _complain([answer], f"line {answer.id}")
            progress(size)
    if not as_json:
        parts = [f"{name} {count:,}" for name, count in sorted(counts.items())]
        click.echo(f"{counts.total():,} documents: {', '.join(parts)}" if parts else "no documents", err=True)
    _exit(counts["failed"])


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that has SHELL complete commands, options and files.

    \b
    Examples:
      eval "$(sentinova completion bash)"
      sentinova completion bash >> ~/.bashrc
      sentinova completion fish > ~/.config/fish/completions/sentinova.fish

    For zsh, put `eval "$(sentinova completion zsh)"` into ~/.zshrc, after compinit.
    """  # noqa: D301
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    click.echo(kind(main, {}, "sentinova", "_SENTINOVA_COMPLETE").source())


main.add_command(models)


def _tell_note(ctx: click.Context) -> None:
    """Says what a command that failed, or was interrupted, left to be said."""
    if note := ctx.meta.get(NOTE):
        click.echo(f"sentinova: {note}", err=True)


def _standard_input() -> Iterator[str]:
    if sys.stdin.isatty():
        click.echo("Reading texts from the terminal, one a line; Ctrl-D ends.", err=True)
    lines = Lines(sys.stdin.buffer)
    for number, text in lines:
        lines.take(number)
        yield text


def _answer(index: int, outcome: Sentiment | SentinovaError) -> Answer:
    if isinstance(outcome, SentinovaError):
        return Answer(index, str(index), error=outcome)
    return Answer(index, str(index), result=outcome)


def _complain(answers: Iterable[Answer], name: str | None = None) -> None:
    for answer in answers:
        if answer.error is not None:
            click.secho(f"{name or f'text {answer.index + 1}'}: {explain(answer.error)}", err=True, fg="red")


def _exit(failed: int) -> None:
    if failed:
        click.get_current_context().exit(ExitCode.SOME_FAILED)


def _progress(file: BinaryIO) -> AbstractContextManager[Callable[[int], None]]:
    """Shows how far a file has been answered, where that can be known and does not disturb the answers."""
    path = Path(str(getattr(file, "name", "")))
    if sys.stderr.isatty() and not sys.stdout.isatty() and path.is_file():
        return display.progress_bar(path.stat().st_size)
    return nullcontext(lambda _: None)
