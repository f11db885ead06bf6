#!/usr/bin/env bash
# The harness's tables on one host with GPUs and without Ray: every variant by shards, several processes per GPU.
#
#   experiments/emojiworld/tables.sh OUT MODEL SUITE LIMIT WORKERS "LABEL: OPTIONS"...
#
# Makes OUT/MODEL/SUITE/LABEL for each variant, a label with options of eval.replay, all at once, with WORKERS shards
# each; then judges, scores and compares them, the first variant as the baseline. A variant with --memory.path waits
# until OUT/MODEL/memory.done exists (see fill_memory.sh). DATA names the folder of T2V-CompBench V2 where the suite
# needs it. Several processes that share a GPU are faster on small models, which leave most of it idle.
set -euo pipefail
out=$1 model=$2 suite=$3 limit=$4 workers=$5
shift 5
python=${PYTHON:-python3}
gpus=$(nvidia-smi -L 2>/dev/null | wc -l || true)
runs=$out/$model/$suite
mkdir -p "$runs"
options=(--suite "$suite" --model "$model" --limit "$limit" --quiet)
[ -z "${DATA:-}" ] || options+=(--data "$DATA")
export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false

shards() { # COUNT LOG COMMAND...: with --shard 1/COUNT to COUNT/COUNT, the GPUs in turn; returns the largest code
    local count=$1 log=$2 i pids=() failed=0
    shift 2
    for i in $(seq "$count"); do
        CUDA_VISIBLE_DEVICES=$([ "$gpus" -gt 0 ] && echo $(((i - 1) % gpus))) "$@" --shard "$i/$count" >>"$log" 2>&1 &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i" || failed=$(($? > failed ? $? : failed)); done
    return $failed
}

replay() { # "LABEL: OPTIONS"
    local label=${1%%:*} more
    read -ra more <<<"${1#*:}"
    if [[ $1 == *--memory.path* ]]; then
        until [ -e "$out/$model/memory.done" ]; do sleep 1; done
    fi
    shards "$workers" "$runs/$(folder "$label").log" "$python" -m eval.replay "${options[@]}" "${more[@]}" \
        --label "$label" --out "$runs/$(folder "$label")"
}

folder() { # LABEL: as the name of a folder
    echo "${1//[^A-Za-z0-9]/-}"
}

pids=() folders=()
for variant in "$@"; do
    folders+=("$runs/$(folder "${variant%%:*}")")
    replay "$variant" &
    pids+=($!)
done
for pid in "${pids[@]}"; do
    wait "$pid" || echo "tables: some videos were refused or failed; see the logs in $runs" >&2
done
code=0 judges=(emojiworld)
[[ $suite != emojiworld-compose* ]] || judges+=(blobs) # its scenes are also looked at without learning
for judge in "${judges[@]}"; do
    shards $((2 * workers)) "$runs/judge.log" \
        "$python" -m eval.judge "${folders[@]}" --judge "$judge" --answers "$runs/answers" --device cpu --quiet ||
        code=$(($? > code ? $? : code))
done
if [ "$code" -gt 1 ]; then
    echo "tables: the judge failed; see $runs/judge.log" >&2
    exit "$code"
elif [ "$code" -eq 1 ]; then
    echo "tables: some questions are still open, and their cases are excluded; see $runs/judge.log" >&2
fi
"$python" -m eval.score "${folders[@]}" --answers "$runs/answers" >"$runs/score.log" 2>&1
"$python" -m eval.report "${folders[@]}" --out "$runs/report" --embed none >"$runs/report.log" 2>&1
