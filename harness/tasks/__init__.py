"""Tasks: name to class. One file each; torch and data are touched only when a task is opened."""

from harness.registry import Table

TASKS: Table = {
    "listops": "harness.tasks.listops:ListOps",
    "image": "harness.tasks.image:Image",
    "pathfinder": "harness.tasks.pathfinder:Pathfinder",
    "pathx": "harness.tasks.pathfinder:PathX",
    "delay": "harness.tasks.delay:Delay",
}
