"""Setting up: the scripts, and what the commands say on the way to first mail."""

import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.procs import run, scratch, write  # noqa: E402

SOURCE = os.environ.get("VERPOST_SOURCE") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../..")


class Scripts(unittest.TestCase):
    """In a copy, so that nothing is built or installed if they go on."""

    def setUp(self):
        self.root = scratch() + "/verpost"
        os.makedirs(self.root + "/contrib")
        for name in ("check", "quickstart"):
            shutil.copy(os.path.join(SOURCE, "contrib", name),
                        self.root + "/contrib/" + name)
        write(self.root + "/contrib/build-deps",
              "#!/bin/sh\necho it began\nexit 1\n", 0o755)

    def test_a_configured_source_tree_is_told_before_anything_else(self):
        write(self.root + "/config.status", "")
        for name in ("check", "quickstart"):
            with self.subTest(name):
                status, out, errors = run(
                    [self.root + "/contrib/" + name], check=False)
                self.assertNotEqual(status, 0)
                self.assertEqual(out, "")
                self.assertEqual(errors.count("\n"), 1, errors)
                self.assertIn("run 'make distclean' in %s first"
                              % os.path.realpath(self.root), errors)
        self.assertEqual(sorted(os.listdir(self.root)),
                         ["config.status", "contrib"])

    def test_one_that_is_not_configured_is_taken(self):
        for name in ("check", "quickstart"):
            with self.subTest(name):
                _, out, errors = run([self.root + "/contrib/" + name],
                                     check=False)
                self.assertIn("it began", out + errors)

    def test_a_group_of_packages_that_is_none_fails(self):
        for action in ("list", "install"):
            with self.subTest(action):
                status, out, errors = run(
                    [os.path.join(SOURCE, "contrib/build-deps"), action,
                     "run", "foo"], check=False)
                self.assertEqual((status, out), (2, ""))
                self.assertIn("no group 'foo'", errors)


if __name__ == "__main__":
    runner.main()
