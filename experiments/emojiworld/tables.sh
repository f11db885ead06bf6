#!/usr/bin/env bash
# The harness's tables on one host with GPUs and without Ray: every method by shards, several processes per GPU.
#
#   experiments/emojiworld/tables.sh OUT MODEL SUITE LIMIT WORKERS METHOD...
#
# Makes OUT/MODEL/SUITE/METHOD for each METHOD, all at once, with WORKERS shards each, then judges, scores and compares
# them. METHOD is one that eval.replay knows, or METHOD+memory, which reads OUT/MODEL/memory and waits until
# OUT/MODEL/memory.done exists. DATA names the folder of T2V-CompBench V2 where the suite needs it. Several processes
# that share a GPU are faster on small models, which leave most of it idle.
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

shards() { # LOG COMMAND...: the command with --shard 1/N to N/N, the GPUs in turn; fails if one of them does
    local log=$1 i pids=() failed=0
    shift
    for i in $(seq "$workers"); do
        CUDA_VISIBLE_DEVICES=$([ "$gpus" -gt 0 ] && echo $(((i - 1) % gpus))) "$@" --shard "$i/$workers" >>"$log" 2>&1 &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i" || failed=1; done
    return $failed
}

replay() { # METHOD
    local method=$1 more=()
    if [[ $method == *+memory ]]; then
        until [ -e "$out/$model/memory.done" ]; do sleep 1; done
        more=(--memory.path "$out/$model/memory" --memory.mode read)
    fi
    shards "$runs/$method.log" "$python" -m eval.replay "${options[@]}" --method "${method%+memory}" "${more[@]}" \
        --label "${method/+memory/ + memory}" --out "$runs/$method"
}

pids=()
for method in "$@"; do
    replay "$method" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || echo "tables: a replay had refusals or failures; see the logs in $runs" >&2; done
folders=("${@/#/$runs/}")
shards "$runs/judge.log" "$python" -m eval.judge "${folders[@]}" --judge emojiworld --answers "$runs/answers" --device cpu --quiet
"$python" -m eval.score "${folders[@]}" --answers "$runs/answers" >"$runs/score.log" 2>&1
"$python" -m eval.report "${folders[@]}" --out "$runs/report" --embed none >"$runs/report.log" 2>&1
cat "$runs/report"/*.md
