"""Runs all checks of deploy/ and counts them. A check is a function that raises AssertionError, or Skip where a tool is missing."""

import sys
import traceback

import live
import shipped
from tools import Skip


def main():
    product = shipped.Product(sys.argv[1])
    checks = [(name, check, (product,)) for name, check in vars(shipped).items() if name.startswith("check_")]
    checks.append(("check_live", live.check_live, (sys.argv[1], int(sys.argv[2]))))
    passed = failed = 0
    for name, check, arguments in checks:
        name = name.removeprefix("check_").replace("_", " ")
        try:
            check(*arguments)
            passed += 1
            print(f"ok       {name}")
        except Skip as why:
            print(f"SKIPPED  {name}: {why}")
        except AssertionError as why:
            failed += 1
            print(f"FAILED   {name}: {why}")
        except Exception:
            failed += 1
            print(f"FAILED   {name}:\n{traceback.format_exc()}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
