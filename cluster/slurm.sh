#!/bin/bash
# A search on the machines of a Slurm job: Ray on each of them, the search on the first. docs/cluster.md leads
# through it. In the project's top folder, on a disk that all nodes share, with its .venv made there:
#
#   sbatch --job-name=mine cluster/slurm.sh --data /shared/pictures --space scratch --trials 200
#   python -m search.list                            # what it has found so far
#   scancel --signal=TERM --batch JOB                # ends it with a leaderboard, as Ctrl-C does
#   sbatch --job-name=mine cluster/slurm.sh          # goes on with it
#
# The job's name is the search's; all arguments go to search.run. A search that is there already is resumed: after
# a time limit, after a preemption, after a lost node. Every value below can also be given to sbatch itself.

#SBATCH --job-name=search
#SBATCH --nodes=2
#SBATCH --gpus-per-node=1
#SBATCH --time=24:00:00
# Whole nodes: Ray counts a machine's CPUs as its own, and another Ray there would take its ports.
#SBATCH --exclusive
#SBATCH --ntasks-per-node=1
# Ten minutes before the time is up the search concludes; then the job goes to the queue again, and resumes.
#SBATCH --signal=B:USR1@600
#SBATCH --requeue
#SBATCH --open-mode=append
# A lost node costs its trials some epochs, not the job. (When the first is lost, Slurm starts the job anew.)
#SBATCH --no-kill
#SBATCH --output=results/%x.out

set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
search=$SLURM_JOB_NAME
port=$((20000 + SLURM_JOB_ID % 5000))  # and the dashboard's is 5000 above
address=$(hostname -I | cut -d ' ' -f 1):$port
export PATH="$PWD/.venv/bin:$PATH" RAY_AUTH_MODE=token
export RAY_TMPDIR="/tmp/ray-$SLURM_JOB_ID"  # /tmp/ray may belong to somebody else
export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0  # Slurm waits half a minute, and the search has ended by then
(umask 077 && ray get-auth-token --generate >/dev/null)  # ~/.ray/auth_token, which all nodes see

# A task on each node. What is a default of srun on some clusters is another one elsewhere.
step=(srun --overlap --no-kill --kill-on-bad-exit=0 --cpu-bind=none)
# shellcheck disable=SC2016  # for the nodes' shells to expand
start='mkdir -p -m 700 "$RAY_TMPDIR" && [ -O "$RAY_TMPDIR" ] && unset OMP_NUM_THREADS &&
    exec ray start "$@" --num-cpus="$SLURM_CPUS_ON_NODE" --disable-usage-stats --block'
"${step[@]}" --nodes=1 --ntasks=1 --nodelist="$SLURMD_NODENAME" bash -c "$start" ray \
    --head --node-ip-address="${address%:*}" --port="$port" \
    --dashboard-host=127.0.0.1 --dashboard-port=$((port + 5000)) &
until ray health-check --address="$address" 2>/dev/null; do
    kill -0 $! 2>/dev/null || { echo "Ray does not start on $SLURMD_NODENAME; see above." >&2; exit 1; }
    sleep 1
done
if [ "$SLURM_NNODES" -gt 1 ]; then
    others=$((SLURM_NNODES - 1))
    "${step[@]}" --nodes="$others" --ntasks="$others" --exclude="$SLURMD_NODENAME" \
        bash -c "$start" ray --address="$address" &
fi
python - "$address" "$SLURM_NNODES" <<'PYTHON'
import logging, sys, time
import ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)
deadline = time.monotonic() + 300  # then with those that are there
while sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[2]) and time.monotonic() < deadline:
    time.sleep(1)
PYTHON

if [ -e "results/$search/settings.json" ]; then
    if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then set --; fi  # they have had their effect
    set -- --resume "$@"
fi
python -m search.run --ray "$address" --name "$search" "$@" &
driver=$!
again=
trap 'kill -TERM $driver' TERM
trap 'again=yes; kill -TERM $driver' USR1
status=0
while kill -0 $driver 2>/dev/null; do  # a trapped signal ends `wait` before the search has ended
    wait $driver && status=0 || status=$?
done
trap - TERM USR1

for each in $(jobs -p); do kill "$each" 2>/dev/null || true; done
wait
rm -rf "$RAY_TMPDIR"
if [ "$SLURM_NNODES" -gt 1 ]; then  # on a lost node it would wait for ever
    timeout 60 "${step[@]}" --nodes="$others" --ntasks="$others" --exclude="$SLURMD_NODENAME" \
        rm -rf "$RAY_TMPDIR" || true
fi
if [ -n "$again" ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$status"
