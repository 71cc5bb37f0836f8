"""The group of commands, in which whatever a user can cause ends in one sentence."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from htga.cli.output import printable, say
from htga.cli.variables import warn_of_unknown
from htga_client.errors import ClientError

CONTROL_C = 130
USAGE = 2
_EXTRAS = {
    "htga_server": "server",
    "htga_dashboard": "dashboard",
    "htga.experiments": "torch,experiments",
    "htga.cli.demo": "all",
    "htga.cli.levy": "torch,experiments",
    "htga": "torch",
}
"""What to install if an import fails, by the package of ours that has it; the first that fits."""


class Commands(TyperGroup):
    """Ends with 2 if the command line is wrong, 130 after Ctrl-C, 1 after any other error."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,  # noqa: ARG002  it is one name, however it was started
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Execute the command line; without `standalone_mode` return the exit status."""
        _make_streams_patient()
        try:
            warn_of_unknown(os.environ)
            status = super().main(args, "htga", complete_var, False, windows_expand_args, **extra)
            status = status if isinstance(status, int) else 0
        except KeyboardInterrupt:
            status = CONTROL_C
        except typer.Abort:
            say("nothing was done")
            status = 1
        except Exception as error:  # noqa: BLE001  what no user can cause is raised again
            status = _explain(error)
        if standalone_mode:
            sys.exit(status)
        return status


def group(help_text: str) -> typer.Typer:
    """A group of commands whose help is plain text, for every width and encoding."""
    return typer.Typer(
        cls=Commands,
        help=help_text,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def needs(error: ImportError) -> str:
    """What is missing, and how to install it."""
    module = error.name or "a package"
    frames = traceback.walk_tb(error.__traceback__)
    importers = ["htga", *(str(frame.f_globals.get("__name__")) for frame, _ in frames), module]
    own = [name for name in importers if name.startswith("htga")][-1]  # the innermost of ours
    extra = next(extra for package, extra in _EXTRAS.items() if own.startswith(package))
    fault = "" if isinstance(error, ModuleNotFoundError) else f" ({error})"
    return (
        f"{module}, which cannot be imported{fault}: in a clone of HTGA, pip install '.[{extra}]'"
    )


def _explain(error: Exception) -> int:
    """Say an error in one sentence, or raise it again if it is a fault of ours."""
    if hasattr(error, "format_message"):  # Typer's own, about the command line
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(printable(error.format_message(), lines=True))
            return USAGE
        say(f"{_about_usage(error)}; -h shows what there is")
        return USAGE
    sentence = _sentence(error)
    if sentence is None:
        raise error
    say(sentence)
    return 1


def _sentence(error: Exception) -> str | None:
    if isinstance(error, ImportError):
        return f"this command needs {needs(error)}"
    if isinstance(error, _loaded(("sqlalchemy.exc", "DBAPIError"), ("sqlite3", "Error"))):
        cause = getattr(error, "orig", error)
        return f"the database cannot be used ({cause}); see --db, --data, HTGA_DATABASE_URL"
    if isinstance(error, OSError):
        return _about_file(error)
    if isinstance(
        error, (ClientError, ValueError, *_loaded(("htga_server.problems", "ServerError")))
    ):
        return str(error)
    return None


def _loaded(*names: tuple[str, str]) -> tuple[type[Exception], ...]:
    """Classes of modules that are loaded already: others have raised nothing, and take long."""
    return tuple(getattr(sys.modules[m], name) for m, name in names if m in sys.modules)


def _about_usage(error: Any) -> str:
    """What is wrong with the command line, with the value, which Typer leaves out."""
    said = error.format_message().strip().rstrip(".").replace("Value error, ", "")
    if not hasattr(error.__cause__, "errors"):
        return str(said)
    said = said.replace("Input should be", "it must be")
    return f"{said}, got {error.__cause__.errors()[0]['input']!r}"


def _about_file(error: OSError) -> str:
    if error.filename is None:
        return str(error)
    return f"cannot use {error.filename}: {error.strerror}; name another, or see to its rights"


def _make_streams_patient() -> None:
    """Let no letter that the terminal cannot show end a command."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # another program's stream
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
