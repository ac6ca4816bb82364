"""How good an understanding model is: measures, calibration, robustness, golden set, report and card."""
