"""How good a model is: measures, calibration, robustness, golden set, report and card."""
