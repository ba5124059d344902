# Compiled as it stands: what happens once a launch, and not once a call, needs no types.
