"""build/demo-report.json: what became of the stacks, what was called, what is held."""

from __future__ import annotations

import json
from pathlib import Path

from local.demo.story import Story


def write(story: Story, path: Path) -> None:
    """Write it; statuses are the stack's own, in order, and calls are counted by `service.Operation`."""
    report = {
        "stacks": [{"name": name, "statuses": story.stacks.statuses(name)} for name in story.stacks.names],
        "calls": dict(sorted(story.calls().items())),
        "held": story.held(),
    }
    path.write_text(json.dumps(report, indent=2) + "\n")
