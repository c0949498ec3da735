"""Studies: sweeps over grids of parameters, walk-forward folds, batches of notebooks."""
