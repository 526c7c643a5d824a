"""Models trained under differential privacy: any PyTorch module, and estimators in scikit-learn's manner."""
