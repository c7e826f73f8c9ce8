#!/usr/bin/env bash
# The sweep {{ job.name }} on {{ nodes }} nodes: Ray's head and the driver on the first, a Ray worker on each other one.
# Submit it with sbatch from the folder that the paths below begin in. Submitted again, it goes on where it stopped.
#SBATCH --job-name={{ job.name }}
#SBATCH --nodes={{ nodes }}
#SBATCH --ntasks-per-node=1
{% include "directives.sh" %}
#SBATCH --output={{ job.name }}-%j.log
#SBATCH --open-mode=append
# A preempted job is queued again; a lost node costs the trials that ran there their last minutes, not the job.
#SBATCH --requeue
#SBATCH --no-kill
# Two minutes before the end this script, and no other process, gets SIGUSR1: time for checkpoints.
#SBATCH --signal=B:USR1@120
set -euo pipefail
export PATH={{ job.binaries }}:"$PATH"
# srun takes the processors of a step from here, not from sbatch.
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK

# Whoever has this token may run code in the cluster; srun passes it on, and it ends with the job.
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token

{% include "signals.sh" %}
# Ray's processes end with the steps that hold them.
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT

mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
# No function: in the background, `jobs -p` would name a shell of its own, which srun would outlive.
on=(srun --nodes=1 --ntasks=1)
address_of() { "${on[@]}" --nodelist="$1" hostname -I | awk '{ print $1 }'; }

{% if port %}
port={{ port }}
{% else %}
# From the job's number, so that two jobs can share a node.
port=$((20000 + SLURM_JOB_ID % 20000))
{% endif %}
head=$(address_of "${hosts[0]}")
address=$head:$port
ray_options=(--num-cpus={{ job.node.cpus }} --num-gpus={{ job.node.gpus }} --disable-usage-stats --block)

echo "Ray's head on ${hosts[0]}, $address"
"${on[@]}" --nodelist="${hosts[0]}" ray start --head --node-ip-address="$head" --port="$port" --include-dashboard=false \
  --temp-dir="/tmp/ray-$SLURM_JOB_ID" "${ray_options[@]}" &
until ray health-check --address "$address" >/dev/null 2>&1; do
  if [ -z "$(jobs -pr)" ]; then echo "Ray's head has not started; its words stand above." >&2; exit 3; fi
  sleep 1
done
for host in "${hosts[@]:1}"; do
  here=$(address_of "$host")
  echo "Ray's worker on $host, $here"
  "${on[@]}" --nodelist="$host" ray start --address="$address" --node-ip-address="$here" "${ray_options[@]}" &
done

# Ten minutes for every node to join.
if ! timeout 600 python - "$address" "$SLURM_JOB_NUM_NODES" <<'PYTHON'
import sys
import time

import ray

ray.init(address=sys.argv[1], logging_level="ERROR", log_to_driver=False)
while sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[2]):
    time.sleep(1)
PYTHON
then
  echo "Not every node has joined Ray's head at $address; what they say stands above." >&2
  exit 3
fi

command=({% for word in words %}{{ word }} {% endfor %}"$address")
{% include "drive.sh" %}
