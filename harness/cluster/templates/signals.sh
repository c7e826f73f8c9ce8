# What SLURM tells this script, the driver shall hear.
driver=''
asked=''
told=''
# shellcheck disable=SC2317  # The traps call it.
pass_on() {
  asked=$1
  if [ -n "$driver" ]; then
    told=$1
    kill -s "$1" "$driver" 2>/dev/null || true
  fi
}
trap 'pass_on USR1' USR1
trap 'pass_on TERM' TERM
