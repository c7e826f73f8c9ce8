#SBATCH --cpus-per-task={{ job.node.cpus }}
{% if job.node.gpus %}
#SBATCH --gpus-per-node={{ job.node.gpus }}
{% endif %}
{% if job.node.memory_gib %}
#SBATCH --mem={{ (job.node.memory_gib * 1024) | round | int }}M
{% endif %}
{% if job.exclusive %}
# Timings need their nodes to themselves.
#SBATCH --exclusive
{% endif %}
{% if job.partition %}
#SBATCH --partition={{ job.partition }}
{% endif %}
{% if job.account %}
#SBATCH --account={{ job.account }}
{% endif %}
{% for option in job.extra %}
#SBATCH {{ option }}
{% endfor %}
#SBATCH --time={{ job.time }}
