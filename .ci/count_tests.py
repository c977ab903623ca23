#!/usr/bin/env python3
"""Prints "N passed, N failed", counted in test targets, from Bazel's build event file (JSON, one event a line).

A test that did not run because it does not fit this machine is neither. Exits with 1 if any failed.
"""

import json
import pathlib
import sys


def main() -> None:
    tests, status, skipped = set(), {}, set()
    for line in pathlib.Path(sys.argv[1]).read_text().splitlines():
        event = json.loads(line)
        identity = event["id"]
        if event.get("configured", {}).get("testSize"):
            tests.add(identity["targetConfigured"]["label"])
        if "testSummary" in event:
            status[identity["testSummary"]["label"]] = event["testSummary"]["overallStatus"]
        if event.get("aborted", {}).get("reason") == "SKIPPED" and "targetCompleted" in identity:
            skipped.add(identity["targetCompleted"]["label"])
    passed = {label for label, result in status.items() if result in ("PASSED", "FLAKY")}
    # What was neither run nor skipped failed to build.
    failed = (tests | status.keys()) - passed - skipped
    for label in sorted(failed):
        print(f"failed: {label}")
    if not tests:
        print("failed: no tests were found; the build did not get that far")
    print(f"{len(passed)} passed, {len(failed) or int(not tests)} failed")
    sys.exit(1 if failed or not tests else 0)


if __name__ == "__main__":
    main()
