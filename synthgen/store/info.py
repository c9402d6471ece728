"""What a store is, from its metadata and manifests alone."""

from pathlib import Path
from typing import Any

from synthgen.store.layout import Store
from synthgen.store.metadata import PROMPTS
from synthgen.store.tasks import tasks_of


def info(path: str | Path) -> dict[str, Any]:
    """Plain values: the plan, the versions, and how much is committed; no file is checked.

    Raises:
        StoreError: there is no store.
    """
    store = Store.open(path)
    plan, attributes = store.plan, store.attributes
    entries = [known[-1] for known in store.entries().values()]
    committed = sum(entry.stop - entry.first for entry in entries)
    channels = store.shapes["image"][0]
    tasks = {task.name: len(task.class_names) for task in tasks_of(attributes)}
    return {
        "path": str(store.path),
        "recipe": plan.recipe["name"],
        "recipe_digest": plan.recipe_digest,
        "seed": plan.seed,
        "shape": list(plan.shape),
        "spacing": attributes["spacing"],
        "classes": len(attributes["class_names"]),
        **({"tasks": tasks} if "tasks" in attributes else {}),
        **({"channels": channels} if channels > 1 else {}),
        **({"arrays": list(store.arrays)} if PROMPTS in store.arrays else {}),
        "count": plan.count,
        "splits": plan.splits,
        "committed": committed,
        "absent": plan.count - committed,
        "complete": committed == plan.count,
        "bytes": sum(entry.size for entry in entries),
        "shards": len(plan.shards),
        "shard_size": plan.shard_size,
        "codec": plan.codec,
        "versions": attributes["versions"],
    }
