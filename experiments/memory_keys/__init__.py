"""Do keys find the same composition and no other? python -m experiments.memory_keys --out RESULT.json"""
