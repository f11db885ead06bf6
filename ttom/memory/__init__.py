"""The parametric memory: optimized adapters, stored under the kind of scene they were optimized for."""
