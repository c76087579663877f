#!/usr/bin/env python3
"""Counts test cases of a `bazel test` run: count_results.py EVENTS_JSON BAZEL_EXIT_STATUS

Prints, per failure, what failed, then as the last line "N passed, M failed". Exits 1 if anything
failed, or if Bazel did for a reason that no test shows (a target that does not build).
"""

import json
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree

NO_TESTS_FOUND = 4  # Bazel's exit status for a build that worked and had no test in it.


class Tally:
    """Test cases passed, and one line for each that failed or was skipped."""

    def __init__(self):
        self.passed = 0
        self.failures = []
        self.skipped = []

    def add_report(self, label, path, target_passed):
        """Adds the cases of one test.xml; a report that hides a failure counts as one."""
        failed_before = len(self.failures)
        cases = self._cases(path)
        for case in cases:
            suite = case.get("classname")
            # A script is one case, which Bazel names after its path and gives no suite.
            name = f"{label} {suite}.{case.get('name')}" if suite else label
            if case.find("failure") is not None or case.find("error") is not None:
                self.failures.append(name)
            elif case.get("result") == "skipped" or case.find("skipped") is not None:
                self.skipped.append(name)
            elif case.get("status") != "notrun":
                self.passed += 1
        if not target_passed and len(self.failures) == failed_before:
            self.failures.append(f"{label} (ended without naming a test case)")
        elif target_passed and not cases:
            self.passed += 1

    @staticmethod
    def _cases(path):
        try:
            return ElementTree.parse(path).findall(".//testcase")
        except (OSError, ElementTree.ParseError):
            return []


def read_events(path):
    """Results by (label, run, shard), last attempt only; and labels that did not build."""
    results, unbuilt = {}, set()
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            identity = event.get("id", {})
            if "testResult" in event:
                key = identity["testResult"]
                position = (key["label"], key.get("run", 0), key.get("shard", 0))
                results[position] = event["testResult"]
            elif "targetCompleted" in identity and not event.get("completed", {}).get("success"):
                unbuilt.add(identity["targetCompleted"]["label"])
    return results, unbuilt


def report_path(result):
    """The file name of a result's test.xml, or "" if it left none."""
    for output in result.get("testActionOutput", []):
        if output["name"] == "test.xml":
            return urllib.parse.unquote(urllib.parse.urlparse(output["uri"]).path)
    return ""


def main():
    bazel_status = int(sys.argv[2])
    results, unbuilt = read_events(sys.argv[1])
    tally = Tally()
    for (label, _, _), result in sorted(results.items(), key=lambda item: item[0]):
        tally.add_report(label, report_path(result), result.get("status") in ("PASSED", "FLAKY"))
    # A test that failed also completes without success: it is counted by its cases.
    tested = {label for label, _, _ in results}
    tally.failures += [f"{label} (did not build)" for label in sorted(unbuilt - tested)]
    if bazel_status not in (0, NO_TESTS_FOUND) and not tally.failures:
        tally.failures.append(f"bazel (exit status {bazel_status}, see above)")

    for name in tally.skipped:
        print(f"skipped: {name}")
    for name in tally.failures:
        print(f"FAILED: {name}")
    print(f"{tally.passed} passed, {len(tally.failures)} failed")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
