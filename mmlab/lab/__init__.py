"""What a notebook and the command line touch: runs, backtests, reports. `mmlab` names what is public."""
