"""A trained model: tested, calibrated, described, delivered."""
