"""The contract of trained models, and the one inference pipeline that learning evaluates and intent serves."""
