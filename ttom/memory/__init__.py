"""The parametric memory: optimised parameters kept under the kind of scene that they were optimised for."""
