"""Native code on the CPU: C from a graph, compiled by the system's compiler, one call a step."""
