"""What the checks share: running a command, and saying that one is not there."""

import shutil
import subprocess


class Skip(Exception):
    """A tool that a check needs is not on this machine."""


def run(*command, env=None, stdin=None):
    """The exit code and both outputs of a command, as text."""
    done = subprocess.run(command, env=env, input=stdin, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def need(tool):
    """Skips the check where `tool` is not on the PATH."""
    if shutil.which(tool) is None:
        raise Skip(f"{tool} is not on this machine")


def succeed(*command, **options):
    """The standard output of a command that must succeed."""
    code, out, err = run(*command, **options)
    assert code == 0, f"{' '.join(command)} exits with {code}: {(err or out).strip()}"
    return out
