"""What the `sentinova` command says about a failure, and the exit code it ends with.

Knows the reasons of the API and the options of the command. Must not print.
"""

from __future__ import annotations

from enum import IntEnum

from grpc import StatusCode

from sentinova.errors import SentinovaError


class ExitCode(IntEnum):
    """How the command ended."""

    ANSWERED = 0
    SOME_FAILED = 1
    USAGE = 2
    UNAVAILABLE = 3
    REFUSED = 4
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141


EXIT_CODES = """\b
Exit codes:
  0    done: every document was answered
  1    some documents failed; the others were answered
  2    the command line is wrong, or a file that it names
  3    the server cannot be reached, is loading, is overloaded, was too slow
       or cut the call off: trying again may help
  4    the server refused the request, or failed: trying again will not help
  130  interrupted; 141: whoever read the output stopped reading
"""

_TRY_AGAIN = {
    StatusCode.UNAVAILABLE,
    StatusCode.RESOURCE_EXHAUSTED,
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.ABORTED,
}
_LASTING_REASONS = {"MEMORY_BUDGET"}  # of codes that pass in other cases

_FIX_OF_REASON = {
    "MODEL_NOT_FOUND": "`sentinova models list` shows the models of the server.",
    "MODEL_FAILED": "What was available before serves on; `sentinova models show NAME` tells the state of each.",
    "MODEL_CONTROL_DISABLED": "What may be changed is chosen where the server is started, by --model-control-mode.",
    "VERSION_NOT_FOUND": "`sentinova models list` shows the versions that are available.",
    "VERSION_NOT_AVAILABLE": "`sentinova models list` shows the versions that are available.",
    "LABEL_NOT_FOUND": "`sentinova models list` shows the labels of the versions.",
    "LAST_VERSION": "Load another version first, or unload the model as a whole, without --version.",
    "NO_PREVIOUS_VERSION": "`sentinova models load NAME --version N` loads a version to go to.",
    "MEMORY_BUDGET": "Unload a version or a model first, or let the server have more memory.",
    "WATCH_TOO_SLOW": "Read the events faster, or watch fewer models.",
    "TEXT_TOO_LONG": "Shorten the text, or give --long-text truncate to have its end left out.",
    "TEXT_EMPTY": "Give a text that holds more than white space.",
    "TEXT_NOT_UNICODE": "Convert the input to UTF-8, for example with iconv.",
    "MODEL_LOADING": "Wait until the model is loaded; `sentinova models list` shows its state.",
    "SERVER_DRAINING": "The server is shutting down; use another, or wait until it is back.",
    "QUEUE_FULL": "The server has more work than it can take; try again later, or send less at a time.",
}
_FIX_OF_CODE = {
    StatusCode.DEADLINE_EXCEEDED: "Give it more time with --timeout SECONDS.",
    StatusCode.UNIMPLEMENTED: "Is this a Sentinova server, and not older than this client?",
    StatusCode.UNAUTHENTICATED: "Name your client certificate with --tls-cert and --tls-key.",
    StatusCode.PERMISSION_DENIED: "Ask whoever runs the server for permission.",
    StatusCode.RESOURCE_EXHAUSTED: "Try again later, or send less at a time.",
    StatusCode.INTERNAL: "The log of the server says more.",
    StatusCode.UNKNOWN: "The log of the server says more.",
}


def exit_code(error: SentinovaError) -> ExitCode:
    """Gives the exit code for a call that failed as a whole."""
    passes = error.code in _TRY_AGAIN and error.reason not in _LASTING_REASONS
    return ExitCode.UNAVAILABLE if passes else ExitCode.REFUSED


def explain(error: SentinovaError, address: str | None = None) -> str:
    """Puts an error into words: its reason, what went wrong, and what to do about it.

    Args:
        error: The error.
        address: The server's address, where the call as a whole failed.
    """
    lines = [f"{error.reason or error.code.name}: {error.message}"]
    lines += [f"  {each.field}: {each.description}" for each in error.field_violations if each.description]
    fix = fix_for(error, address)
    if fix:
        lines.append(f"  {fix}")
    return "\n".join(lines)


def fix_for(error: SentinovaError, address: str | None = None) -> str:
    """Says what to do about an error; empty where there is nothing to say."""
    fix = _FIX_OF_REASON.get(error.reason) or _FIX_OF_CODE.get(error.code, "")
    if not fix and error.code is StatusCode.UNAVAILABLE and address is not None:
        fix = _unreachable(error.message, address)
    if error.retry_after:
        fix = f"{fix} Try again in {error.retry_after:g} s.".lstrip()
    return fix


def _unreachable(message: str, address: str) -> str:
    if "ssl" in message.lower() or "certificate" in message.lower():
        return f"TLS with {address} failed: check --tls-ca, --tls-cert and --tls-key."
    return (
        f"Is a server running at {address}? `sentinova-server serve` starts one; --address or SENTINOVA_ADDRESS "
        "names another; --tls-ca is needed where it speaks TLS."
    )
