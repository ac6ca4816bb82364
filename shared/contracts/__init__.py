"""What services say to each other: the only things that two services both know."""
