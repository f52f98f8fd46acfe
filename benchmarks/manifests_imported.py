"""Count which streams of public low-code manifests `elt import airbyte` writes as tables, and what keeps the others.

    python benchmarks/manifests_imported.py FOLDER

FOLDER has files manifest.yaml, at any depth. A connector counts when all of its streams are tables of a config that is
valid as it is; `benchmarks/manifests.py` counts what the language could say.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

import yaml

from elt_factory.importing.manifest.compiling import compiled

_REASONS = 40


def main(folder: Path) -> None:
    """Print the counts."""
    files, began = sorted(folder.rglob("manifest.yaml")), time.process_time()
    whole, said, total, reasons = 0, 0, 0, Counter[str]()
    for number, file in enumerate(files):
        root = yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)
        found, count = compiled(root, f"connector_{number}"), len(root.get("streams") or [])
        left = min(len(found.left_out), count)
        whole, said, total = whole + (not left and count > 0), said + count - left, total + count
        reasons.update(
            reason.rpartition("its parent ")[2].partition(": ")[2] or reason for reason in found.left_out.values()
        )
    print(f"connectors {whole} of {len(files)} ({whole / len(files):.1%})")
    print(f"streams    {said} of {total} ({said / total:.1%}) in {time.process_time() - began:.0f} s of CPU")
    for reason, count in reasons.most_common(_REASONS):
        print(f"{count:5}  {reason[:110]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
