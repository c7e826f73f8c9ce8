#!/usr/bin/env bash
# The sweep {{ job.name }} as a job array without Ray: task i of {{ shards }} runs the i-th share of the plan.
# Submit it with sbatch from the folder that the paths below begin in. Submitted again, it goes on where it stopped.
# Afterwards: harness status {{ job.name }}, and harness push {{ job.name }} for MLflow.
#SBATCH --job-name={{ job.name }}
# Shards are counted from 1, and their number stands below as well: `sbatch --array=3` repeats the third of them alone.
#SBATCH --array={{ tasks }}
#SBATCH --nodes=1
#SBATCH --ntasks=1
{% include "directives.sh" %}
#SBATCH --output={{ job.name }}-%A-%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
# Two minutes before the end this script gets SIGUSR1: time for checkpoints.
#SBATCH --signal=B:USR1@120
set -euo pipefail
export PATH={{ job.binaries }}:"$PATH"

{% include "signals.sh" %}

command=({% for word in words %}{{ word }} {% endfor %}"$SLURM_ARRAY_TASK_ID/{{ shards }}")
{% include "drive.sh" %}
