"""The branches of the decision tree, a module per subject. `verdicts.RULES` has their order."""
