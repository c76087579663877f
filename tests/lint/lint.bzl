"""lint_test: a check over the whole source tree."""

def lint_test(name, deps = [], tags = [], **kwargs):
    """Runs `name`.py on the checkout itself.

    The checkout is no input that Bazel knows, so the test runs outside the sandbox ("local") and
    its result is never taken from a cache ("external").

    Args:
      name: of the test and of its script without .py.
      deps: the scripts it imports besides tree.py.
      tags: more tags.
      **kwargs: as in sh_test.
    """
    native.sh_test(
        name = name,
        srcs = [name + ".py"],
        data = ["tree.py"] + deps,
        env = {"PYTHONDONTWRITEBYTECODE": "1"},
        tags = tags + ["external", "lint", "local"],
        **kwargs
    )
