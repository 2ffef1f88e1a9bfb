"""The machines that services run on: a folder each, with shims on its PATH or a real container engine behind them."""
