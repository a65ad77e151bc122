"""
Runs the test cases of a file and sums them up as cmocka does, so that
contrib/check counts both alike. Exit status: 0 passed, 1 failed, 77 skipped.
"""

import os
import sys
import time
import unittest


class _Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.passed = []

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        print("[ RUN      ] %s" % test._testMethodName, flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed.append(test)
        print("[       OK ] %s (%.1f s)" % (
            test._testMethodName, time.monotonic() - self.began), flush=True)

    def _show(self, test, err):
        print("[  FAILED  ] %s\n%s" % (
            test, self._exc_info_to_string(err, test)), flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._show(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._show(subtest, err)

    def addError(self, test, err):
        super().addError(test, err)
        self._show(test, err)


def main(needs_root=True):
    """Call it last in a test file."""
    if needs_root and os.getuid() != 0:
        print("needs root: Postfix and the database change their user")
        sys.exit(77)
    names = sys.argv[1:] or None
    module = sys.modules["__main__"]
    loader = unittest.defaultTestLoader
    suite = (loader.loadTestsFromNames(names, module) if names
             else loader.loadTestsFromModule(module))
    result = _Result()
    suite.run(result)
    bad = len(result.failures) + len(result.errors)
    print("[  PASSED  ] %d test(s)." % len(result.passed))
    if result.skipped:
        print("[  SKIPPED ] %d test(s), listed below:" % len(result.skipped))
        for test, why in result.skipped:
            print("[  SKIPPED ] %s: %s" % (
                getattr(test, "_testMethodName", test), why))
    if bad:
        print("[  FAILED  ] %d test(s), listed below:" % bad)
        for test, _ in result.failures + result.errors:
            print("[  FAILED  ] %s" % test)
    sys.stdout.flush()
    if bad:
        sys.exit(1)
    if not result.passed:
        print(result.skipped[0][1] if result.skipped else "no test here")
        sys.exit(77 if result.skipped else 1)
    sys.exit(0)
