"""Tasks: name to class. One file each; torch and data are touched only when a task is opened."""

from harness.registry import Table

TASKS: Table = {
    "listops": "harness.tasks.listops:ListOps",
    "text": "harness.tasks.text:Text",
    "retrieval": "harness.tasks.retrieval:Retrieval",
    "image": "harness.tasks.image:Image",
    "pathfinder": "harness.tasks.pathfinder:Pathfinder",
    "pathx": "harness.tasks.pathfinder:PathX",
    "delay": "harness.tasks.delay:Delay",
    "reconstruct": "harness.tasks.reconstruct:Reconstruct",
    "copying": "harness.tasks.copying:Copying",
    "adding": "harness.tasks.adding:Adding",
}
