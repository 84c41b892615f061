"""Compares Quorate with a real SpiceDB on the cases that once differed, then on random ones.

Usage: main.py --quorate ADDRESS [--spicedb BINARY --spicedb-port PORT] [--seed N] [--rounds N] [--case FILE] --failures DIR
Without a binary the embedded library is asked; it has fewer calls, and no reasons of refusals to unary calls.
"""

import argparse
import collections
import os
import pathlib
import re
import sys
import time

from case import Case
from compare import Comparison
from generate import generate
from servers import Embedded, Quorate, Testing
from shrink import shrink

REGRESSIONS = pathlib.Path(__file__).with_name("regressions")
MOST_REPORTED = 12
"""Differences of so many kinds are looked at closely; the rest are counted."""


class Run:
    def __init__(self, options):
        self.spicedb = Testing(options.spicedb, options.spicedb_port) if options.spicedb else Embedded()
        self.quorate = Quorate(options.quorate, os.environ["QUORATE_KEY"])
        self.only = re.compile(options.only)
        self.failures = pathlib.Path(options.failures)
        self.counts = collections.Counter()
        self.signatures = collections.Counter()

    def case(self, name, case, repeat):
        comparison = Comparison(case, self.spicedb, self.quorate)
        found = [difference for difference in comparison.differences() if self.only.search(difference.signature())]
        self.counts["cases"] += 1
        self.counts["questions"] += comparison.asked
        self.counts["excused"] += comparison.excused
        self.counts["given up by SpiceDB"] += comparison.lost
        self.counts["differ"] += bool(found)
        for difference in found:
            self.signatures[difference.signature()] += 1
            if self.signatures[difference.signature()] == 1 and len(self.signatures) <= MOST_REPORTED:
                self._report(name, case, difference, repeat)

    def _report(self, name, case, difference, repeat):
        print(f"\n{name} differs: {difference.signature()}", flush=True)
        smaller, difference = shrink(case, difference, self.spicedb, self.quorate)
        self.failures.mkdir(parents=True, exist_ok=True)
        stored = self.failures / f"{name}-{len(self.signatures)}-{difference.question['ask']}.json"
        smaller.store(stored, difference.signature())
        print(smaller.schema_text())
        print(*smaller.relationships, "", *difference.lines(), sep="\n")
        print(f"repeat   {repeat}\nkeep     {stored} (in {REGRESSIONS.name}/, once it is understood)", flush=True)

    def summary(self):
        print("\n" + ", ".join(f"{count} {name}" for name, count in self.counts.items()))
        for signature, count in self.signatures.most_common():
            print(f"{count:6} times {signature}")
        return self.counts["differ"] == 0


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--quorate", required=True)
    options.add_argument("--spicedb")
    options.add_argument("--spicedb-port", type=int)
    options.add_argument("--seed", type=int)
    options.add_argument("--rounds", type=int, default=50)
    options.add_argument("--case", type=pathlib.Path)
    options.add_argument("--only", default="", help="a regular expression: other kinds of differences are not reported")
    options.add_argument("--failures", required=True)
    options = options.parse_args()
    run = Run(options)
    if options.case:
        run.case(options.case.stem, Case.load(options.case), f"make differential CASE={options.case}")
        return run.summary()
    for path in sorted(REGRESSIONS.glob("*.json")):
        run.case(path.stem, Case.load(path), f"make differential CASE={path}")
    start = options.seed if options.seed is not None else int(time.time())
    print(f"seeds {start} to {start + options.rounds - 1}, against {type(run.spicedb).__name__}", flush=True)
    for seed in range(start, start + options.rounds):
        run.case(f"seed{seed}", generate(seed), f"make differential SEED={seed} ROUNDS=1")
    return run.summary()


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
