"""What every style shares below: avals, devices, the operator table, kernels, graphs, autodiff."""
