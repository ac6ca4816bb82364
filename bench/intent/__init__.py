"""How fast the intent service is beside the raw speed of its engine and beside other servers of the same model."""
