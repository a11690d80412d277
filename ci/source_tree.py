"""What the checkers of the house look at."""

import os
import pathlib


def files_below(root, suffixes):
    """Relative paths, without hidden folders and build: trees of whole systems may be mounted there."""
    for folder, folders, names in os.walk(root):
        relative = pathlib.Path(folder).relative_to(root)
        at_root = not relative.parts
        folders[:] = sorted(f for f in folders if not f.startswith(".") and not (at_root and f == "build"))
        for name in sorted(names):
            if name.endswith(suffixes) and not name.startswith("."):
                yield (relative / name).as_posix()
