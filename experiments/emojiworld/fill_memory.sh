#!/usr/bin/env bash
# Pseudo-training without Ray: experiments/emojiworld/fill_memory.sh MEMORY MODEL COUNT WORKERS
#
# Each of WORKERS processes optimizes its share of the first COUNT training prompts into a memory of its own; these are
# merged into MEMORY, and MEMORY.done marks the end.
set -euo pipefail
memory=$1 model=$2 count=$3 workers=$4
python=${PYTHON:-python3}
gpus=$(nvidia-smi -L 2>/dev/null | wc -l || true)
export OMP_NUM_THREADS=1
pids=() parts=()
for i in $(seq 0 $((workers - 1))); do
    parts+=("$memory-part$i")
    CUDA_VISIBLE_DEVICES=$([ "$gpus" -gt 0 ] && echo $((i % gpus))) "$python" -c '
import sys
from pathlib import Path
from experiments.emojiworld.pseudo_train import fill, memory_settings
from ttom import TTOM
from ttom.emojiworld.training_prompts import training_prompts
from ttom.parallel import Devices
folder, model, count, part, parts = sys.argv[1:]
chosen = training_prompts(int(count))[int(part)::int(parts)]
settings = memory_settings(TTOM(model).settings, Path(folder))
print(fill(chosen, settings, model=model, devices=Devices(1, 1, "auto")), "entries in", folder)
' "$memory-part$i" "$model" "$count" "$i" "$workers" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
"$python" -m ttom memory merge "${parts[@]}" --into "$memory"
touch "$memory.done"
