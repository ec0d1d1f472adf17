"""The command that repeats a run."""

import os
import shlex
from typing import Any


def repeat_command(options: dict[str, Any]) -> str:
    """The command that repeats this run exactly."""
    words = ["aftershock", "run", options["scenario"], "--runtime", options["runtime"], "--seed", str(options["seed"])]
    if options["runtime"] == "virtual":
        words += ["--transport", options["transport"]]
    if options["size"] is not None:
        words += ["--size", f"{options['size']:g}"]
    if options["mitigations"]:
        words += ["--with", options["mitigations"]]
    if options["traces"]:
        words.append("--traces")
    if options["perturb"]:
        words += ["--perturb", f"{options['perturb']:g}"]
    for flag, values in (
        ("--set", "assignments"),
        ("--policy", "policies"),
        ("--shift", "shifts"),
        ("--drop", "drops"),
        ("--change", "changes"),
    ):
        for value in options[values]:
            words += [flag, value]
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    """A word as a shell takes it. A file may have a name that is no text; pages and terminals show text."""
    if word.isprintable():
        return shlex.quote(word)
    inner = "".join(
        sign if sign.isprintable() and sign not in "'\\" else "".join(f"\\x{byte:02x}" for byte in os.fsencode(sign))
        for sign in word
    )
    return f"$'{inner}'"
