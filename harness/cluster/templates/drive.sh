code=130
if [ -z "$asked" ]; then
  "${command[@]}" &
  driver=$!
  # A signal that came between those two lines found no driver to tell.
  if [ -n "$asked" ] && [ -z "$told" ]; then pass_on "$asked"; fi
  code=0
  wait "$driver" || code=$?
  # A signal ends `wait` before the driver has ended.
  while kill -0 "$driver" 2>/dev/null; do
    code=0
    wait "$driver" || code=$?
  done
fi

# Out of time, and not cancelled: once more into the queue, as often as this is not plainly in vain.
if [ "$code" = 130 ] && [ "$asked" = USR1 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt {{ restarts }} ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
